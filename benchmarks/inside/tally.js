// The protocol of tally.py for Node, which has one thread: slot 0 of a file of this process, written at most once a turn
// of the event loop, which is exact at the end and costs a job nothing.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const SLOT = 24
const SLOTS = 512
const directory = process.env.BENCH_DIR
const now = () => Number(process.hrtime.bigint()) / 1e9

// Returns the function that counts one finished job.
exports.open = () => {
  const file = fs.openSync(path.join(directory, `${process.pid}.tally`), 'w+')
  fs.writeSync(file, Buffer.alloc(SLOT * SLOTS))
  const slot = Buffer.alloc(SLOT)
  let count = 0
  let pending = false
  const write = () => {
    pending = false
    fs.writeSync(file, slot, 0, SLOT, 0)
  }
  return () => {
    const at = now()
    if (!count) slot.writeDoubleLE(at, 8)
    slot.writeBigInt64LE(BigInt(++count), 0)
    slot.writeDoubleLE(at, 16)
    if (pending) return
    pending = true
    setImmediate(write)
  }
}

// Appends the seconds since `sent`.
exports.stamp = (sent) => {
  const late = Buffer.alloc(8)
  late.writeDoubleLE(now() - sent)
  fs.appendFileSync(path.join(directory, 'stamps'), late)
}

// All that were appended.
exports.stamps = () => {
  const file = path.join(directory, 'stamps')
  if (!fs.existsSync(file)) return []
  const content = fs.readFileSync(file)
  return Array.from({ length: Math.floor(content.length / 8) }, (_, index) => content.readDoubleLE(index * 8))
}
