-- What the scripts begin with that count the ends of batches' and chords' members, after keys.lua and, beside another broker, state_keys.lua.
-- A counter is named batch:ID or chord:ID. It waits for those that were added to it (total) and for so many as were announced (size), and
-- counts each once, by its id. A batch knows its members before they end, and keeps its callbacks; a chord's come by themselves, with what
-- they bring to its callback, which is made of that by whoever settles the last one.
--
--   umbel:batch:ID, umbel:chord:ID   hash   total, size, closed (nothing more is announced), done, failed, gone, fired, updated, finished;
--                                           a batch's also name, owner, opener, allowed, share, cancelled, created, and then, catch,
--                                           finally: their messages (MessagePack), until they are queued; held: "TARGET LABEL" while it
--                                           is on its way to or from another store
--   …:members                  hash    task id -> p pending, d done, f failed, c cancelled; of a chord followed by "PLACE\nRESULT"
--   umbel:batches              zset    ID -> when it was opened
--   umbel:batches:held         zset    ID -> the same, of those that are held, which are in no other of these
--   umbel:batches:open         zset    ID -> the same, until its last member has ended
--   umbel:chords:complete      zset    ID -> when its last member ended, until its callback is sent
local KINDS = {'then', 'catch', 'finally'}
local OUTCOMES = {d = 'done', f = 'failed', c = 'gone'}
local OPEN_BATCH, KEPT_BATCH, OPEN_CHORD = 2592000, 604800, 604800

local function keep_counter(counter, seconds)
    redis.call('EXPIRE', key(counter), seconds)
    redis.call('EXPIRE', key(counter .. ':members'), seconds)
end

local function chord_of(counter) return string.match(counter, '^chord:(.*)$') end

-- The counters of which members were counted in this step.
local touched = {}

-- Count a member's end, once; a failure that is mended counts as done. ``brought``: what comes with one whom nobody added.
local function count_member(counter, id, outcome, at, brought)
    local members, about = key(counter .. ':members'), key(counter)
    local before
    if brought then
        -- One that ran again after all was over.
        if redis.call('HEXISTS', about, 'finished') == 1 then return end
        before = redis.call('HSETNX', members, id, outcome .. brought) == 1 and 'p' or outcome
    else
        before = redis.call('HGET', members, id)
        if not before then return end
    end
    -- Also when it was counted before: whoever ended it may have died before the callback went out.
    touched[counter] = true
    if before == outcome or (before ~= 'p' and outcome ~= 'd') then return end
    if not brought then redis.call('HSET', members, id, outcome) end
    if before ~= 'p' then redis.call('HINCRBY', about, OUTCOMES[before], -1) end
    redis.call('HINCRBY', about, OUTCOMES[outcome], 1)
    redis.call('HSET', about, 'updated', at)
end

-- Count a member of a chord, which says its size if it knows it.
local function count_part(part, at)
    local group, id, place_of, result, size = unpack(part)
    local chord = 'chord:' .. group
    if size > 0 and redis.call('HSETNX', key(chord), 'size', size) == 1 then redis.call('HSET', key(chord), 'closed', 1) end
    count_member(chord, id, 'd', at, place_of .. '\n' .. result)
end

-- Which callbacks of a counter are due, and which went before. Python says the same in ``engine/batches.py``.
local function due_of(counter)
    local found = redis.call('HMGET', key(counter), 'closed', 'cancelled', 'share', 'fired', 'allowed', 'total', 'size', 'done', 'failed', 'gone', 'held')
    if found[11] then return {} end
    local closed, cancelled, share, fired = found[1] == '1', found[2] == '1', found[3] == '1', found[4] or ''
    for number = 5, 10 do found[number] = tonumber(found[number] or 0) end
    local allowed, total, size, done, failed, gone = unpack(found, 5)
    local bad = failed + gone
    local ended = closed and done + bad >= total + size
    if chord_of(counter) then return {['finally'] = ended}, fired end
    local beyond = bad > allowed
    if share then beyond = bad * 1000000 > allowed * total end
    if allowed < 0 then beyond = false end
    return {
        ['then'] = ended and not cancelled and not beyond,
        ['catch'] = beyond and not cancelled and (closed or not share),
        ['finally'] = ended,
    }, fired
end

-- Queue the callbacks of a batch that are due; ``send`` queues one message.
local function fire_batch(batch, at, send)
    local about = key('batch:' .. batch)
    local due, fired = due_of('batch:' .. batch)
    if not fired then return end
    local any = false
    for _, kind in ipairs(KINDS) do
        if due[kind] and not string.find(fired, kind, 1, true) then
            any = true
            local packed = redis.call('HGET', about, kind)
            if packed then
                for _, message in ipairs(cmsgpack.unpack(packed)) do send(message) end
                redis.call('HDEL', about, kind)
            end
            fired = fired == '' and kind or fired .. ' ' .. kind
            if kind == 'finally' then
                redis.call('HSET', about, 'finished', at)
                redis.call('ZREM', key('batches:open'), batch)
            end
        end
    end
    if any then redis.call('HSET', about, 'fired', fired) end
    keep_counter('batch:' .. batch, string.find(fired, 'finally', 1, true) and KEPT_BATCH or OPEN_BATCH)
end

-- Let follow what is due of the counters that were touched; return the chords whose callback is to be made.
local function fire_touched(at, send)
    local complete = {}
    for counter in pairs(touched) do
        local chord = chord_of(counter)
        if not chord then
            fire_batch(string.sub(counter, 7), at, send)
        else
            keep_counter(counter, OPEN_CHORD)
            if due_of(counter)['finally'] then
                redis.call('ZADD', key('chords:complete'), at, chord)
                complete[#complete + 1] = chord
            end
        end
    end
    return complete
end

-- End a chord whose callback is sent in this step; false if that was done before.
local function finish_chord(chord, at)
    local about, members = key('chord:' .. chord), key('chord:' .. chord .. ':members')
    if redis.call('HSETNX', about, 'finished', at) == 0 then return false end
    redis.call('HSET', about, 'fired', 'finally')
    redis.call('ZREM', key('chords:complete'), chord)
    -- A member that runs again is known for as long as its result is.
    local member = redis.call('HRANDFIELD', members)
    local left = member and redis.call('PTTL', document_key(member)) or -2
    if left ~= -1 then redis.call('PEXPIRE', about, math.max(left, 60000)) end
    redis.call('DEL', members, P .. 'celery-taskset-meta-' .. chord .. ':callback')
    return true
end

-- Begin to add: whether the batch is there, and whether it takes more.
local function find_batch(batch)
    local cancelled, fired = unpack(redis.call('HMGET', key('batch:' .. batch), 'cancelled', 'fired'))
    if not fired then return false, false end
    return true, cancelled == '0' and not string.find(fired, 'finally', 1, true)
end

-- Make members of those messages that are none, and queue them by ``send``; 0 when the batch takes no more, and nothing was done.
local function add_members(batch, messages, at, send)
    local there, open = find_batch(batch)
    if not there then return {-1, 0} end
    local members, about = key('batch:' .. batch .. ':members'), key('batch:' .. batch)
    local new = {}
    for _, message in ipairs(messages) do
        if redis.call('HEXISTS', members, message[4]) == 0 then new[#new + 1] = message end
    end
    if #new > 0 and not open then return {0, 0} end
    local count = 0
    for _, message in ipairs(new) do
        if redis.call('HSETNX', members, message[4], 'p') == 1 then
            send(message)
            count = count + 1
        end
    end
    if count > 0 then redis.call('HINCRBY', about, 'total', count) end
    redis.call('HSET', about, 'updated', at)
    keep_counter('batch:' .. batch, open and OPEN_BATCH or KEPT_BATCH)
    return {1, count}
end

-- Change a batch: close or cancel it, or count its members anew. Returns 0 if there is nothing to change.
local function turn_batch(batch, what, at, send)
    local there, open = find_batch(batch)
    local about = key('batch:' .. batch)
    if not there or (what == 'cancel' and not open) then return 0 end
    if what == 'recount' then
        local counts, total = {p = 0, d = 0, f = 0, c = 0}, 0
        for _, state in ipairs(redis.call('HVALS', about .. ':members')) do
            counts[state] = counts[state] + 1
            total = total + 1
        end
        redis.call('HSET', about, 'total', total, 'done', counts.d, 'failed', counts.f, 'gone', counts.c)
    else
        redis.call('HSET', about, 'closed', 1)
        if what == 'cancel' then redis.call('HSET', about, 'cancelled', 1) end
    end
    redis.call('HSET', about, 'updated', at)
    fire_batch(batch, at, send)
    return 1
end
