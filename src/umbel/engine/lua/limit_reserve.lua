-- Grant a start to each job that may start now, promise one to each that may not.
-- ARGV: prefix, MessagePack [[id, mark, mark of the grant that it was too late for or "", [[name, base, count, seconds, burst], …]], …].
-- Returns for each: seconds to wait ("0" for now), when that is, by how much what was promised comes late; as text.
relieve()
local answer, lags = {}, {}
for _, ask in ipairs(cmsgpack.unpack(ARGV[2])) do
    local id, mark, late, limits = unpack(ask)
    local promised = take(id, limits, late)
    local turn = late ~= '' or (promised ~= nil and promised <= at + EARLY)
    local mine, free = {}, true
    for _, limit in ipairs(limits) do
        local log = log_of(limit)
        if log then
            mine[#mine + 1] = log
            free = free and fits_now(log, turn)
        end
    end
    local moment, wait, lag = at, 0, 0
    if free then
        for _, log in ipairs(mine) do start(log, mark, turn) end
        if turn and promised then lag = math.max(0, at - promised) end
        for _, limit in ipairs(lag > 0 and limits or {}) do lags[limit[2]] = math.max(lags[limit[2]] or 0, lag) end
    else
        moment = earliest_of(mine, turn)
        -- Who comes too early keeps what it was promised.
        local kept = promised ~= nil and not turn and promised <= moment
        if kept then moment = promised end
        wait = math.max(moment - at, EPSILON)
        for _, log in ipairs(mine) do promise(log, id, moment, turn, kept) end
        for _, limit in ipairs(limits) do
            local waits = key('limit-waits:' .. limit[2])
            redis.call('ZADD', waits, text(moment), id)
            redis.call('EXPIRE', waits, math.ceil(wait) + 2592000)
        end
    end
    answer[#answer + 1] = text(wait)
    answer[#answer + 1] = text(moment)
    answer[#answer + 1] = text(lag)
end
save()
for base, lag in pairs(lags) do redis.call('HSET', key('limit-lags'), base, text(lag)) end
return answer
