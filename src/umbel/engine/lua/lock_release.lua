-- Free a lock, and let the first delayed job of those that wait be due. ARGV: prefix, name, fencing number. Returns 0 if it was lost.
local lock, waits = key('lock:' .. ARGV[2]), key('lock-waits:' .. ARGV[2])
local known = redis.call('GET', lock)
if not known or (cut(known)) ~= ARGV[3] then return 0 end
redis.call('DEL', lock)
wake_first(waits)
return 1
