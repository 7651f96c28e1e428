-- Give back what stands in a process's name and never reached it: the answer to its fetch was lost on the way.
-- ARGV: prefix, token, MessagePack [the seqs that it knows of]. Returns how many that were.
local held = key('held:' .. ARGV[2])
local known, lost = {}, {}
for _, seq in ipairs(cmsgpack.unpack(ARGV[3])) do known[tostring(seq)] = true end
for _, seq in ipairs(redis.call('HKEYS', held)) do
    if not known[seq] then lost[#lost + 1] = tonumber(seq) end
end
table.sort(lost, function(one, other) return one > other end)
for _, seq in ipairs(lost) do
    take_back(redis.call('HGET', held, seq), 0)
    redis.call('HDEL', held, seq)
end
return #lost
