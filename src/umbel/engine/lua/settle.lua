-- What a batch of executions leaves behind, in one step.
-- ARGV: prefix, token, crash limit, MessagePack [[seq or 0, action, dead letter or "", records, outgoing, parts, fired, id, queued, rest], …],
-- MessagePack [[[what ends of one kind have in common: state, attempt, task, queue, owner, then their guard as text but for the time, in two
-- pieces], …], [seq, id, queued, kind from 1 or 0 for no record, record's id or false for the same one, document without its last brace, ttl,
-- since or false for when it was queued, …]] of plain jobs that have just ended, or "",
-- what state/events.py has packed of the plain ones and then of the others, or "", and those of the seqs, as text, whose messages may be in
-- inboxes still.
-- id and queued are what the message of seq says of itself: its task id and when it was queued, as text; rest is "" or
-- [batch or "", member, outcome, a job whose checkpoints are dropped or ""].
-- Returns [refused, complete, refused plain ones]: numbers of refused entries from 0, and group ids of complete chords.
local token, limit = ARGV[2], tonumber(ARGV[3])
local held = key('held:' .. token)
local at = now()
local refused, refused_plain, plain_count = {}, {}, 0

-- Jobs whose message has gone, as pairs of id and when it was queued.
local gone = {}

-- Drop what dispatch knew of them, unless it is of another message with the same id.
local function forget()
    for start = 1, #gone, 1000 do
        local keys, ended = {}, {}
        for at = start, math.min(start + 999, #gone) do keys[#keys + 1] = key('job:' .. gone[at][1]) end
        for number, known in ipairs(redis.call('MGET', unpack(keys))) do
            if known then
                local _, rest = cut(known)
                if (cut(rest)) == gone[start + number - 1][2] then ended[#ended + 1] = keys[number] end
            end
        end
        if #ended > 0 then redis.call('DEL', unpack(ended)) end
    end
end

-- Deal with a message that was held: it is out of ``held`` already.
local function act(action, found, id, queued)
    if action == 'ack' then
        if id ~= '' then gone[#gone + 1] = {id, queued} end
        return
    end
    local _, rest = cut(found)
    local list, element = cut(rest)
    if action == 'crash' then
        -- A prefork child runs one job: it was alone.
        strike(list, element, true, limit)
    else
        take_back(found, 1)
    end
end

-- Whether the message is held still; it is so no longer unless it stays. What is to be moved is returned itself.
local function claim(seq, action)
    if action == 'ack' then return redis.call('HDEL', held, seq) == 1 end
    if action == 'keep' then return redis.call('HEXISTS', held, seq) == 1 end
    local found = redis.call('HGET', held, seq)
    if not found then return false end
    redis.call('HDEL', held, seq)
    return whole(found, token)
end

local any_cancelled = redis.call('EXISTS', key('cancelled')) == 1

local function is_cancelled(id)
    if not any_cancelled then return false end
    local mark = id ~= '' and redis.call('HGET', key('cancelled'), id)
    return mark and string.sub(mark, -2) == ' 1'
end

-- Most ends are plain: one flat list, nothing packed here, no number written out.
local function settle_plain(kinds, flat)
    local stamps = {}
    plain_count = #flat / 8
    for number, kind in ipairs(kinds) do stamps[number] = kind[6] .. at .. kind[7] end
    for start = 1, #flat, 8 do
        local seq, id, queued, number, name, meta, ttl, since = unpack(flat, start, start + 7)
        if redis.call('HDEL', held, seq) == 0 then
            refused_plain[#refused_plain + 1] = (start - 1) / 8
        else
            if id ~= '' then gone[#gone + 1] = {id, queued} end
            if number > 0 and not write_first(name or id, meta .. stamps[number], ttl) then
                local state, attempt, task, queue, owner = unpack(kinds[number])
                store({name or id, state, 1, 1, meta .. '}', attempt, task, queue, owner, ttl, since or queued}, at)
            end
        end
    end
end

-- What has ended is told before what follows from it.
tellings = {}

local function send(message) push(message[1], message[2], message[3], message[4], message[5], message[6], at) end

relieve()
for seq in string.gmatch(ARGV[7], '%d+') do land(token, seq) end
if ARGV[5] ~= '' then settle_plain(unpack(cmsgpack.unpack(ARGV[5]))) end
local entries = cmsgpack.unpack(ARGV[4])
local ids = {}
for _, entry in ipairs(entries) do
    for _, record in ipairs(entry[4]) do ids[#ids + 1] = record[1] end
end
look_up(ids)
local backwards = {}
for number, entry in ipairs(entries) do
    local seq, action, ending, records, outgoing, parts, fired, id, queued, rest = unpack(entry)
    local found = seq ~= 0 and claim(seq, action)
    if seq ~= 0 and not found then
        refused[#refused + 1] = number - 1
    else
        if fired ~= '' and not finish_chord(fired, at) then
            outgoing = {}
            if seq == 0 then records = {} end
        end
        -- What follows a job that was cancelled before its worker heard of it; its end is refused as well.
        if found and (#outgoing > 0 or ending ~= '') and is_cancelled(id) then
            outgoing = {}
            if ending ~= '' and ending[1] == 'dead' then ending = '' end
        end
        for _, record in ipairs(records) do store(record, at) end
        for _, part in ipairs(parts) do count_part(part, at) end
        if ending ~= '' then end_letter(ending, at) end
        if rest ~= '' then
            local batch, member, outcome, forgotten = unpack(rest)
            if batch ~= '' then count_member('batch:' .. batch, member, found and is_cancelled(id) and 'c' or outcome, at) end
            if forgotten ~= '' then redis.call('DEL', key('checkpoint:' .. forgotten)) end
        end
        if action == 'requeue' then backwards[#backwards + 1] = {action, found, id, queued}
        elseif found and action ~= 'keep' then act(action, found, id, queued) end
        for _, message in ipairs(outgoing) do send(message) end
    end
end
for number = #backwards, 1, -1 do act(unpack(backwards[number])) end
forget()
local complete = fire_touched(at, send)
local untold = {unpack(refused_plain)}
for _, number in ipairs(refused) do untold[#untold + 1] = number + plain_count end
tell_all(ARGV[6], untold)
return {refused, complete, refused_plain}
