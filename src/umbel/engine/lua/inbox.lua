-- Let a process have an inbox, with nothing in it. ARGV: prefix, token, its mark. Returns 1, or 0 for a lease that has ended.
relieve()
if redis.call('HEXISTS', key('leases'), ARGV[2]) == 0 then return 0 end
empty_inbox(ARGV[3])
open_inbox(ARGV[3])
return 1
