-- ARGV: prefix, token, epoch, limit, suspects (0 or 1), the mark of an inbox that is to be emptied first or "", that of one that is to be
-- opened or "", then pairs of queue and share.
-- Returns [in how many seconds the next delayed one is due and its score, or "", [the paused ones of the queues], how often something was cancelled, whether what happens is told (0 or 1), one entry a list that was
-- taken from, …]; an entry is [list, verdict or "", seq of the first, [elements], [numbers of the cancelled ones, from 0]].
-- Nil if the lease has ended, or this was asked in an earlier epoch of it and has been under way until now.
local token, limit, suspects = ARGV[2], tonumber(ARGV[4]), ARGV[5] == '1'
if redis.call('HGET', key('epochs'), token) ~= ARGV[3] then return false end
local held = key('held:' .. token)
relieve()
if ARGV[6] ~= '' then empty_inbox(ARGV[6]) end
if ARGV[7] ~= '' then open_inbox(ARGV[7]) end
local moment = tonumber(now())
local function next_due() return redis.call('ZRANGE', key('delayed'), 0, 0, 'WITHSCORES')[2] or '' end
local due_in = next_due()
if due_in ~= '' and tonumber(due_in) <= moment then
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('delayed'), '-inf', moment, 'LIMIT', 0, 1000)) do
        undelay(member)
    end
    due_in = next_due()
end
if due_in ~= '' then due_in = string.format('%.6f ', tonumber(due_in) - moment) .. due_in end
-- Mostly none of them is there, and one question is enough.
local any = redis.call('EXISTS', key('cancelled'), key('paused'), key('waits')) > 0
local any_cancelled = any and redis.call('EXISTS', key('cancelled')) == 1
local any_paused = any and redis.call('EXISTS', key('paused')) == 1
local any_waits = any and redis.call('EXISTS', key('waits')) == 1
local rings = {}
for at = 8, #ARGV, 2 do rings[#rings + 1] = key('ring:' .. ARGV[at]) end
local any_rings = #rings > 0 and redis.call('EXISTS', unpack(rings)) > 0
local paused = {}
local answer = {due_in, paused, tonumber(redis.call('GET', key('cancels')) or 0), is_told() and 1 or 0}
local taken = 0

-- Which of ``elements`` have been cancelled, as numbers from 0.
local function cancelled_of(elements)
    local found = {}
    if not any_cancelled then return found end
    for number, element in ipairs(elements) do
        local _, _, _, _, _, id = read(element)
        if id ~= '' and redis.call('HEXISTS', key('cancelled'), id) == 1 then found[#found + 1] = number - 1 end
    end
    return found
end

-- Jobs that had a key until they start give it up here; what was put in a message's place is taken instead of it.
local function begin(elements)
    for start = 1, #elements, 1000 do
        local last = math.min(start + 999, #elements)
        local ids, keys = {}, {}
        for at = start, last do
            local _, _, _, _, _, id = read(elements[at])
            ids[#ids + 1], keys[#keys + 1] = id, key('waits:' .. id)
        end
        for number, found in ipairs(redis.call('MGET', unpack(keys))) do
            if found then
                local name, body = cut(found)
                local at, unique = start + number - 1, key('unique:' .. name)
                redis.call('DEL', keys[number])
                if redis.call('GET', unique) == ids[number] then redis.call('DEL', unique) end
                local _, queued, priority, deliveries, crashes, id = read(elements[at])
                if body ~= '' then elements[at] = write(body, queued, priority, deliveries, crashes, id) end
            end
        end
    end
end

local BRACE = string.byte('{')

-- Whether elements with this head are held without it.
local function is_usual(head, kind)
    if kind ~= 'q' then return false end
    local known = redis.call('HGET', key('heads'), token)
    if not known then redis.call('HSET', key('heads'), token, head) end
    return not known or known == head
end

-- Note what is taken from one list as held. What stays of a fetch's cost is here: a few calls however many there are.
local function hold(list, elements, verdict, kind)
    if taken == 0 then renumber() end
    -- As arguments of a call numbers keep all their digits.
    local first = redis.call('INCRBY', key('seq'), #elements) - #elements + 1
    local head = kind .. verdict .. '\n' .. list
    local usual = is_usual(head, kind)
    for start = 1, #elements, 1000 do
        local fields = {}
        for at = start, math.min(start + 999, #elements) do
            local element = elements[at]
            fields[#fields + 1] = first + at - 1
            fields[#fields + 1] = usual and string.byte(element) == BRACE and element or head .. '\n' .. element
        end
        redis.call('HSET', held, unpack(fields))
    end
    answer[#answer + 1] = {list, verdict, first, elements, cancelled_of(elements)}
    taken = taken + #elements
end

local function from_side(list, kind, most)
    while most > 0 do
        local found = redis.call('RPOP', list)
        if not found then return most end
        local verdict = ''
        if kind == 'f' then verdict, found = cut(found) end
        local origin, element = cut(found)
        hold(origin, {element}, verdict, kind)
        most = most - 1
    end
    return most
end

-- Take up to ``most`` from one list; return how many that were.
local function from_list(list, most)
    local found = redis.call('RPOP', list, most)
    if not found or #found == 0 then return 0 end
    if any_waits then begin(found) end
    hold(list, found, '', 'q')
    return #found
end

-- Take from the lines of a band in turn, and from its messages that wait in none as from one more line; return how many are left to take.
local function from_lines(queue, band, plain, most)
    local ring, base = key('ring:' .. queue), (9 - band) * RANK
    local quantum = math.max(1, math.floor(most / (redis.call('ZCARD', ring) + 1)))
    while most > 0 do
        local line, turn = unpack(redis.call('ZRANGEBYSCORE', ring, digits(base), digits(base + RANK - 1), 'WITHSCORES', 'LIMIT', 0, 1))
        if not line then break end
        turn = tonumber(turn)
        local own = redis.call('EXISTS', plain) == 1 and math.max(turn - 1, tonumber(redis.call('HGET', key('turns'), plain) or 0))
        if own and own <= turn then
            local count = from_list(plain, math.min(quantum, most))
            redis.call('HSET', key('turns'), plain, digits(own + 2 * count))
            most = most - count
        else
            local list = P .. queue .. BAND .. line
            local count = from_list(list, math.min(quantum, most))
            redis.call('ZADD', ring, digits(turn + 2 * count), line)
            leave(list)
            most = most - count
        end
    end
    return most
end

local function from_queue(queue, most)
    local any_lines = any_rings and redis.call('EXISTS', key('ring:' .. queue)) == 1
    local plain = P .. queue
    if not any_lines and redis.call('EXISTS', key('front:' .. queue), plain .. BAND .. '9', plain .. BAND .. '6', plain .. BAND .. '3') == 0 then
        from_list(plain, most)
        return
    end
    most = from_side(key('front:' .. queue), 'f', most)
    for _, band in ipairs({9, 6, 3, 0}) do
        if most <= 0 then return end
        local list = P .. queue .. (band == 0 and '' or BAND .. band)
        if any_lines then most = from_lines(queue, band, list, most) end
        if most > 0 then most = most - from_list(list, most) end
    end
end

for at = 8, #ARGV, 2 do
    local queue, share = ARGV[at], math.min(tonumber(ARGV[at + 1]), limit - taken)
    if any_paused and redis.call('SISMEMBER', key('paused'), queue) == 1 then
        paused[#paused + 1] = queue
    elseif share > 0 then
        if suspects then from_side(key('suspect:' .. queue), 's', share) else from_queue(queue, share) end
    end
end
return answer
