-- Let a process have an inbox, which is empty then, instead of the one that it had.
-- ARGV: prefix, token, connection, list, the mark of the former one or "". Returns 1, or 0 for a lease that has ended.
relieve()
if redis.call('HEXISTS', key('leases'), ARGV[2]) == 0 then return 0 end
local at = ARGV[3] .. ' ' .. ARGV[4]
redis.call('HSET', key('inboxes'), ARGV[2], at)
empty_inbox(ARGV[2] .. ' ' .. at)
if ARGV[5] ~= '' then leave_inbox(ARGV[5]) end
return 1
