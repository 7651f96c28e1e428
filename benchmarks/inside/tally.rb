# The protocol of tally.py for Ruby: every thread writes a slot of its own in a file of this process.
module Tally
  SLOT = 24
  SLOTS = 512
  DIRECTORY = ENV.fetch("BENCH_DIR")
  STAMPS = File.join(DIRECTORY, "stamps")
  OPENING = Mutex.new

  module_function

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Counts one finished job.
  def done
    slot = Thread.current.thread_variable_get(:slot)
    Thread.current.thread_variable_set(:slot, slot = { at: open_slot, count: 0, first: now }) unless slot
    slot[:count] += 1
    @file.pwrite([slot[:count], slot[:first], now].pack("q<EE"), slot[:at])
  end

  # Appends the seconds since +sent+.
  def stamp(sent)
    late = now - sent
    File.open(STAMPS, "ab") { |file| file.write([late].pack("E")) }
  end

  # All that were appended.
  def stamps
    File.exist?(STAMPS) ? File.binread(STAMPS).unpack("E*") : []
  end

  def open_slot
    OPENING.synchronize do
      unless @file
        @file = File.open(File.join(DIRECTORY, "#{Process.pid}.tally"), "w+b")
        @file.write("\0" * (SLOT * SLOTS))
        @file.flush
        @slots = -1
      end
      (@slots += 1) * SLOT
    end
  end
end
