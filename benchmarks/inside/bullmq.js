// BullMQ's client and worker: `node bullmq.js VERB [--jobs N] ...`, the verbs of client.py, and `worker`.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Queue, Worker } = require('bullmq')
const { open, stamp, stamps } = require('./tally.js')

const QUEUE = 'bench'
const BATCH = 1000
const WARM = 200
const NAP = 50
const url = new URL(process.env.BENCH_URL)
const connection = {
  host: url.hostname,
  port: Number(url.port),
  db: Number(url.pathname.slice(1)),
  maxRetriesPerRequest: null
}
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const now = () => Number(process.hrtime.bigint()) / 1e9

function option (name, otherwise) {
  const at = process.argv.indexOf('--' + name)
  return at < 0 ? otherwise : process.argv[at + 1]
}

const jobs = Number(option('jobs', '1000'))

async function addMany (queue, name) {
  for (let first = 0; first < jobs; first += BATCH) {
    const size = Math.min(BATCH, jobs - first)
    await queue.addBulk(Array.from({ length: size }, (_, index) => ({ name, data: { number: first + index } })))
  }
}

const verbs = {
  async dispatch (queue) {
    for (let number = 0; number < WARM; number++) await queue.add('noop', { number })
    const used = process.cpuUsage()
    const begun = now()
    for (let number = 0; number < jobs; number++) await queue.add('noop', { number })
    const seconds = now() - begun
    const cpu = process.cpuUsage(used)
    return { jobs, calls: jobs + WARM, seconds, rate: jobs / seconds, cpu_seconds: (cpu.user + cpu.system) / 1e6 }
  },
  async fill (queue) {
    const begun = now()
    await addMany(queue, 'noop')
    const seconds = now() - begun
    return { jobs, seconds, rate: jobs / seconds }
  },
  async naps (queue) {
    await addMany(queue, 'nap')
    return { jobs }
  },
  async latency (queue) {
    for (let number = 0; number < jobs; number++) {
      await sleep(20 + Math.random() * 20)
      await queue.add('stamp', { sent: now() })
    }
    const deadline = now() + 120
    while (stamps().length < jobs) {
      if (now() > deadline) throw new Error('not every stamped job ran in time; read worker.log')
      await sleep(5)
    }
    return { jobs, seconds: stamps() }
  },
  async versions () {
    const manifest = path.join(process.env.NODE_PATH, 'bullmq', 'package.json')
    return { node: process.versions.node, bullmq: JSON.parse(fs.readFileSync(manifest)).version }
  }
}

function work () {
  const done = open()
  const bodies = {
    noop: async (data) => { done(); return data.number },
    nap: async (data) => { await sleep(NAP); done(); return data.number },
    stamp: async (data) => { stamp(data.sent); return data.sent }
  }
  const concurrency = Number(process.env.BENCH_CONCURRENCY)
  const worker = new Worker(QUEUE, (job) => bodies[job.name](job.data), { connection, concurrency })
  worker.on('error', (error) => console.error(error))
  process.on('SIGTERM', async () => { await worker.close(true); process.exit(0) })
}

async function main () {
  const verb = process.argv[2]
  if (verb === 'worker') return work()
  const queue = new Queue(QUEUE, { connection })
  console.log(JSON.stringify(await verbs[verb](queue)))
  await queue.close()
}

main().catch((error) => { console.error(error); process.exit(1) })
