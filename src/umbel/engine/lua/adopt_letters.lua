-- Take over dead letters that an earlier version has written.
-- ARGV: prefix, MessagePack [[what stands in its list, number, letter, died], …].
relieve()
for _, one in ipairs(cmsgpack.unpack(ARGV[2])) do
    local element, number, letter, died = unpack(one)
    if redis.call('LREM', key('dead'), 1, element) == 1 then
        local name, replays, replaying, info, payload, failures = unpack(letter)
        local known = redis.call('HGET', key('dead:keys'), name)
        -- The job's later death is the one that goes by its id.
        if known then name = name .. ' ' .. number end
        inter(number, {name, died, replays, replaying, info}, payload, failures)
    end
end
