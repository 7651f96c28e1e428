-- What the scripts of limits share: the same as umbel/state/planner.py, where the words are explained.
local EPSILON, EARLY = 0.000001, 0.001
local at = tonumber(now())

-- A time to the microsecond.
local function rounded(moment) return math.floor(moment * 1000000 + 0.5) / 1000000 end

local function text(moment) return string.format('%.6f', moment) end

-- The rule of a limit that was changed; nil where what is declared holds.
local changed = {}
local function change_of(base)
    if changed[base] == nil then
        local known = redis.call('HGET', key('limits'), base)
        changed[base] = false
        if known then
            local count, seconds, burst = string.match(known, '^(%S+) (%S+) (%S+)$')
            changed[base] = {tonumber(count), tonumber(seconds), tonumber(burst)}
        end
    end
    return changed[base] or nil
end

-- Let a plan that was made by another rule hold for this one.
local function adapt(log, rule)
    if log.rule ~= '' then
        log.full, log.firm_full = 0, 0
        if log.burst > 0 then
            log.started = math.min(log.started, rounded(at + log.burst * log.step))
            log.firm, log.planned = log.started, log.started
        end
    end
    log.rule = rule
end

-- The log of a limit, [name, base, count, seconds, burst]; nil where it is none.
local logs = {}
local function log_of(limit)
    local name, base, count, seconds, burst = unpack(limit)
    if logs[name] then return logs[name] end
    local rule = change_of(base)
    if rule then count, seconds, burst = unpack(rule) end
    if count == 0 then return nil end
    local slack = math.min(math.max(seconds * 0.015, 0.005), 0.1)
    local log = {
        all = key('starts:' .. name), sure = key('firm:' .. name), plan = key('plan:' .. name), count = count,
        seconds = seconds, burst = burst, step = seconds / count, slack = slack, last = at,
    }
    local known = redis.call('HMGET', log.plan, 'rule', 'full', 'firm_full', 'started', 'firm', 'planned')
    log.rule = known[1] or ''
    log.full, log.firm_full = tonumber(known[2] or 0), tonumber(known[3] or 0)
    log.started, log.firm, log.planned = tonumber(known[4] or 0), tonumber(known[5] or 0), tonumber(known[6] or 0)
    local said = count .. ' ' .. seconds .. ' ' .. burst
    if log.rule ~= said then adapt(log, said) end
    local old = '(' .. text(at - seconds - 2 * slack)
    redis.call('ZREMRANGEBYSCORE', log.all, '-inf', old)
    redis.call('ZREMRANGEBYSCORE', log.sure, '-inf', old)
    logs[name] = log
    return log
end

-- Write what is remembered of the logs.
local function save()
    for _, log in pairs(logs) do
        redis.call('HSET', log.plan, 'rule', log.rule, 'full', text(log.full), 'firm_full', text(log.firm_full),
            'started', text(log.started), 'firm', text(log.firm), 'planned', text(log.planned))
        local last = tonumber(redis.call('ZRANGE', log.all, -1, -1, 'WITHSCORES')[2] or at)
        local life = math.max(last, log.planned, log.started) - at + log.seconds + 60
        for _, name in ipairs({log.all, log.sure, log.plan}) do redis.call('EXPIRE', name, math.ceil(life)) end
    end
end

-- Nil if a start at ``moment`` leaves no more than the count in any ``span``; else before when none fits.
local function clash(set, moment, span, count)
    local passed = redis.call('ZCOUNT', set, '-inf', text(moment))
    local after = redis.call('ZRANGEBYSCORE', set, '(' .. text(moment), '(' .. text(moment + span), 'WITHSCORES', 'LIMIT', 0, count)
    local follow = #after / 2
    local later
    if follow == count then later = tonumber(after[2]) + span end
    local from, to = math.max(passed - count, 0), math.min(passed - count + follow, passed - 1)
    if to < from then return later end
    for place, score in ipairs(redis.call('ZRANGE', set, from, to, 'WITHSCORES')) do
        if place % 2 == 0 then
            local first, number = tonumber(score), passed - (from + place / 2 - 1)
            local last = moment
            if number < count then last = tonumber(after[2 * (count - number)]) end
            if last - first < span - EPSILON then later = math.max(later or 0, first + span) end
        end
    end
    return later
end

local function fits_now(log, turn)
    if log.burst > 0 then
        return at >= (turn and log.started or log.planned) - (log.burst - 1) * log.step - EPSILON
    end
    return not clash(turn and log.sure or log.all, at, log.seconds + log.slack, log.count)
end

-- The first time from ``moment`` on that fits.
local function earliest(log, moment, turn)
    if log.burst > 0 then return math.max(moment, rounded((turn and log.firm or log.planned) - (log.burst - 1) * log.step)) end
    local field = turn and 'firm_full' or 'full'
    local tells, found = moment <= math.max(log[field], at) + EPSILON, math.max(moment, log[field])
    for _ = 1, 1000 do
        local later = clash(turn and log.sure or log.all, found, log.seconds + 1.5 * log.slack, log.count)
        if not later then break end
        found = rounded(later)
    end
    if tells then log[field] = found end
    return found
end

local function earliest_of(mine, turn)
    local moment = at
    for _ = 1, 50 do
        local before = moment
        for _, log in ipairs(mine) do moment = math.max(moment, earliest(log, moment, turn)) end
        if moment <= before + EPSILON then break end
    end
    return moment
end

local function start(log, mark, turn)
    if log.burst == 0 then
        redis.call('ZADD', log.all, text(at), '\6' .. mark)
        redis.call('ZADD', log.sure, text(at), '\6' .. mark)
        return
    end
    log.started = rounded(math.max(log.started, at) + log.step)
    log.firm = math.max(log.firm, log.started)
    if not turn then log.planned = rounded(math.max(log.planned, at) + log.step) end
    log.planned = math.max(log.planned, log.firm)
end

local function promise(log, id, moment, turn, kept)
    if log.burst == 0 then
        redis.call('ZADD', log.all, text(moment), id)
        if turn then redis.call('ZADD', log.sure, text(moment), id) end
    elseif not kept and earliest(log, at, turn) >= moment - EPSILON then
        -- Where another limit decides, the token is another one's until then.
        local field = turn and 'firm' or 'planned'
        log[field] = rounded(math.max(log[field], moment) + log.step)
        log.planned = math.max(log.planned, log.firm)
    end
end

-- Forget what was promised to ``id``, and the start of the ask with the mark ``late``; return for when it was promised.
local function take(id, limits, late)
    local promised
    for _, limit in ipairs(limits) do
        local name, base = limit[1], limit[2]
        local score = redis.call('ZSCORE', key('limit-waits:' .. base), id)
        if score then
            promised = math.max(promised or 0, tonumber(score))
            redis.call('ZREM', key('limit-waits:' .. base), id)
        end
        redis.call('ZREM', key('starts:' .. name), id, '\6' .. late)
        redis.call('ZREM', key('firm:' .. name), id, '\6' .. late)
    end
    return promised
end
