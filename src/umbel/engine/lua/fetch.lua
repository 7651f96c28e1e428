-- ARGV: prefix, token, epoch, limit, suspects (0 or 1), then pairs of queue and share.
-- Returns [when the next delayed one is due or "", [the paused ones of the queues], seq, list, element, verdict, cancelled, …];
-- nil if the lease has ended, or this was asked in an earlier epoch of it and has been under way until now.
local token, limit, suspects = ARGV[2], tonumber(ARGV[4]), ARGV[5] == '1'
if redis.call('HGET', key('epochs'), token) ~= ARGV[3] then return false end
local held = key('held:' .. token)
relieve()
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('delayed'), '-inf', now(), 'LIMIT', 0, 1000)) do
    undelay(member)
end
local next_due = redis.call('ZRANGE', key('delayed'), 0, 0, 'WITHSCORES')[2] or ''
local any_cancelled = redis.call('EXISTS', key('cancelled')) == 1
local any_paused = redis.call('EXISTS', key('paused')) == 1
local paused = {}
local answer = {next_due, paused}
local taken = 0

local function hold(list, element, verdict, kind)
    if taken == 0 then renumber() end
    local seq = digits(redis.call('INCR', key('seq')))
    local body, queued, priority, deliveries, crashes, id = read(element)
    redis.call('HSET', held, seq, kind .. (verdict or '') .. '\n' .. list .. '\n' .. element)
    place(id, 'h' .. token .. ' ' .. seq)
    local cancelled = any_cancelled and id ~= '' and redis.call('HEXISTS', key('cancelled'), id) == 1
    local _, band = parts_of(list)
    for _, value in ipairs({
        seq, list, body, queued, priority or band, tostring(deliveries), id, verdict or '', cancelled and '1' or '0',
    }) do
        answer[#answer + 1] = value
    end
    taken = taken + 1
end

local function from_side(list, kind, most)
    while most > 0 do
        local found = redis.call('RPOP', list)
        if not found then return most end
        local verdict
        if kind == 'f' then verdict, found = cut(found) end
        local origin, element = cut(found)
        hold(origin, element, verdict, kind)
        most = most - 1
    end
    return most
end

local function from_queue(queue, most)
    most = from_side(key('front:' .. queue), 'f', most)
    for _, band in ipairs({BAND .. '9', BAND .. '6', BAND .. '3', ''}) do
        if most <= 0 then return end
        local list = P .. queue .. band
        local found = redis.call('RPOP', list, most)
        if found then
            for _, element in ipairs(found) do hold(list, element, nil, 'q') end
            most = most - #found
        end
    end
end

for at = 6, #ARGV, 2 do
    local queue, share = ARGV[at], math.min(tonumber(ARGV[at + 1]), limit - taken)
    if any_paused and redis.call('SISMEMBER', key('paused'), queue) == 1 then
        paused[#paused + 1] = queue
    elseif share > 0 then
        if suspects then from_side(key('suspect:' .. queue), 's', share) else from_queue(queue, share) end
    end
end
return answer
