-- Give back what stands in a process's name and never reached it: the answer to its fetch was lost on the way.
-- What is still under way from before is not done any more: a new epoch of the lease begins.
-- ARGV: prefix, token, epoch, MessagePack [the seqs that it knows of]. Returns how many that were.
relieve()
local epoch = redis.call('HGET', key('epochs'), ARGV[2])
if not epoch or tonumber(epoch) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', key('epochs'), ARGV[2], ARGV[3])
local held = key('held:' .. ARGV[2])
land_all(ARGV[2])
local known, lost = {}, {}
for _, seq in ipairs(cmsgpack.unpack(ARGV[4])) do known[digits(seq)] = true end
for _, seq in ipairs(redis.call('HKEYS', held)) do
    if not known[seq] then lost[#lost + 1] = seq end
end
table.sort(lost, function(one, other) return tonumber(one) > tonumber(other) end)
for _, seq in ipairs(lost) do
    take_back(whole(redis.call('HGET', held, seq), ARGV[2]), 0)
    redis.call('HDEL', held, seq)
end
return #lost
