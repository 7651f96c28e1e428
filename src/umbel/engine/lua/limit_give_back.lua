-- Let others have the start that was promised to a job. ARGV: prefix, MessagePack [id, [[name, base], …]].
local id, limits = unpack(cmsgpack.unpack(ARGV[2]))
local promised = take(id, limits, '')
for _, limit in ipairs(limits) do
    -- There is a place free now from which on no search began.
    local plan = key('plan:' .. limit[1])
    if promised and tonumber(redis.call('HGET', plan, 'full') or 0) > promised then
        redis.call('HSET', plan, 'full', text(promised))
    end
end
