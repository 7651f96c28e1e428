-- A lease ends, and its claims with it.
-- ARGV: prefix, token, crash limit, crashed (0 or 1), MessagePack [started seqs], MessagePack [overdue seqs], the verdict of
-- the overdue, and the beat since which the lease must not have been renewed, or "". Returns how many messages that freed.
local token, limit, crashed, verdict, beat = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', ARGV[7], ARGV[8]
local held = key('held:' .. token)
local started, overdue = {}, {}
for _, seq in ipairs(cmsgpack.unpack(ARGV[5])) do started[tostring(seq)] = true end
for _, seq in ipairs(cmsgpack.unpack(ARGV[6])) do overdue[tostring(seq)] = true end
if beat ~= '' and tonumber(redis.call('ZSCORE', key('beats'), token) or 0) ~= tonumber(beat) then return 0 end
relieve()
redis.call('ZREM', key('beats'), token)
if redis.call('HDEL', key('leases'), token) == 0 then return 0 end
local all = redis.call('HGETALL', held)
local hit = 0
for at = 1, #all, 2 do
    if started[all[at]] then hit = hit + 1 end
end
for at = 1, #all, 2 do
    free(all[at + 1], overdue[all[at]] and verdict or nil, crashed and started[all[at]], hit == 1 and #all == 2, limit)
end
redis.call('DEL', held)
return #all / 2
