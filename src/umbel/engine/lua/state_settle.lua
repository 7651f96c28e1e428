-- What a batch of executions leaves behind, in one step.
-- ARGV: prefix, token, crash limit, entries as for settle.lua, what state/events.py has packed of them or "".
-- Returns [refused, complete, posted, called]; posted is a list of (entry, number in it, number in the outbox), called one of
-- (number in the outbox, what stands there).
local token, limit = ARGV[2], tonumber(ARGV[3])
local entries = cmsgpack.unpack(ARGV[4])
local held = key('held:' .. token)
local at = now()
local refused, posted, called = {}, {}, {}

local function forget(seq, id)
    local job = key('job:' .. id)
    local known = id ~= '' and redis.call('GET', job)
    if known and (cut(known)) == 'h' .. token .. ' ' .. seq then redis.call('DEL', job) end
end

local function act(seq, action, found)
    if action == 'keep' then return end
    redis.call('HDEL', held, seq)
    local _, rest = cut(found)
    local _, element = cut(rest)
    local _, _, _, deliveries, crashes, id = read(element)
    if action == 'crash' then
        -- A prefork child runs one job: it was alone.
        free(found, nil, true, true, limit)
    elseif action == 'requeue' then
        free(found)
    else
        set_claim(named(element), 'e', deliveries, crashes, '', ENDED)
        forget(seq, id)
    end
end

local function is_cancelled(found)
    local _, rest = cut(found)
    local _, element = cut(rest)
    local _, _, _, _, _, id = read(element)
    local mark = id ~= '' and redis.call('HGET', key('cancelled'), id)
    return mark and string.sub(mark, -2) == ' 1'
end

local function send(message)
    local number = post(token, message, at)
    called[#called + 1] = number
    called[#called + 1] = redis.call('HGET', key('outbox'), number)
end

tellings = {}
relieve()
for number, entry in ipairs(entries) do
    local seq, action, ending, records, outgoing, parts, fired, _, _, rest = unpack(entry)
    local found = seq ~= 0 and redis.call('HGET', held, seq)
    if seq ~= 0 and not found then
        refused[#refused + 1] = number - 1
    else
        if fired ~= '' and not finish_chord(fired, at) then
            outgoing = {}
            if seq == 0 then records = {} end
        end
        -- What follows a job that was cancelled before its worker heard of it; its end is refused as well.
        if found and (#outgoing > 0 or ending ~= '') and is_cancelled(found) then
            outgoing = {}
            if ending ~= '' and ending[1] == 'dead' then ending = '' end
        end
        for _, record in ipairs(records) do store(record, at) end
        for _, part in ipairs(parts) do count_part(part, at) end
        if ending ~= '' then end_letter(ending, at) end
        if rest ~= '' then
            local batch, member, outcome, forgotten = unpack(rest)
            if batch ~= '' then count_member('batch:' .. batch, member, found and is_cancelled(found) and 'c' or outcome, at) end
            if forgotten ~= '' then redis.call('DEL', key('checkpoint:' .. forgotten)) end
        end
        if found then act(seq, action, found) end
        for place_of, message in ipairs(outgoing) do
            for _, value in ipairs({number - 1, place_of - 1, post(token, message, at)}) do posted[#posted + 1] = value end
        end
    end
end
local complete = fire_touched(at, send)
tell_all(ARGV[5], refused)
return {refused, complete, posted, called}
