# Sidekiq's worker (`sidekiq -r sidekiq_jobs.rb`) and client: `ruby sidekiq_jobs.rb VERB [--jobs N] ...`, as client.py.
require "json"
require "sidekiq"
require_relative "tally"

store = { url: ENV.fetch("BENCH_URL") }
Sidekiq.configure_server { |config| config.redis = store }
Sidekiq.configure_client { |config| config.redis = store }
Sidekiq.logger.level = Logger::WARN

class Noop
  include Sidekiq::Worker

  def perform(number)
    Tally.done
  end
end

class Nap
  include Sidekiq::Worker

  def perform(number)
    sleep 0.05
    Tally.done
  end
end

class Stamp
  include Sidekiq::Worker

  def perform(sent)
    Tally.stamp(sent)
  end
end

module Client
  WARM = 200
  BATCH = 1000

  module_function

  def dispatch(jobs)
    WARM.times { |number| Noop.perform_async(number) }
    used = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    begun = Tally.now
    jobs.times { |number| Noop.perform_async(number) }
    seconds = Tally.now - begun
    cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - used
    { jobs: jobs, calls: jobs + WARM, seconds: seconds, rate: jobs / seconds, cpu_seconds: cpu }
  end

  def fill(jobs)
    begun = Tally.now
    many(Noop, jobs)
    seconds = Tally.now - begun
    { jobs: jobs, seconds: seconds, rate: jobs / seconds }
  end

  def naps(jobs)
    many(Nap, jobs)
    { jobs: jobs }
  end

  def latency(jobs)
    jobs.times do
      sleep rand(0.02..0.04)
      Stamp.perform_async(Tally.now)
    end
    deadline = Tally.now + 120
    while Tally.stamps.length < jobs
      abort "not every stamped job ran in time; read worker.log" if Tally.now > deadline
      sleep 0.005
    end
    { jobs: jobs, seconds: Tally.stamps }
  end

  def versions(_jobs)
    { ruby: RUBY_VERSION, sidekiq: Sidekiq::VERSION }
  end

  def many(worker, jobs)
    (0...jobs).each_slice(BATCH) do |numbers|
      Sidekiq::Client.push_bulk("class" => worker, "args" => numbers.map { |number| [number] })
    end
  end
end

if __FILE__ == $PROGRAM_NAME
  at = ARGV.index("--jobs")
  puts JSON.generate(Client.send(ARGV.fetch(0), at ? Integer(ARGV[at + 1]) : 1000))
end
