-- What every script begins with: the keys, and how a list's element is read. ARGV[1] is the prefix of all keys.
--
-- Kombu's own, shared with plain Celery:
--   QUEUE, QUEUE\6\22{3,6,9}     list    envelopes of a queue, one list a priority band; producers push left, takers pop right
--   celery-task-meta-ID          string  a job's result document; at its end its guard: …,"umbel":[STATE, …]}
-- Umbel's, in the space that the caller names (SPACE; "umbel:" but for what is kept beside another broker):
--   QUEUE\6\22BAND\6\22SHARE        list    the line of one key among those who share a queue: envelopes, as above
--   umbel:ring:QUEUE             zset    BAND\6\22SHARE of each line in which something waits -> (9 - BAND) * 1e12 + its turn: the lowest is next
--   umbel:turns                  hash    a queue's list -> its turn among the lines, while there are any
--   umbel:queues                 set     names of lasting queues
--   umbel:exchanges              set     exchanges that have been bound to a queue
--   umbel:paused                 set     names of queues from which nothing is fetched
--   umbel:front:QUEUE            list    condemned messages, which only an Umbel worker takes: "VERDICT\nELEMENT"
--   umbel:suspect:QUEUE          list    messages that run alone
--   umbel:delayed                zset    member -> when it is due; a member is "ID" or "ID\6N"
--   umbel:later                  hash    member -> "LISTKEY\nELEMENT"
--   umbel:delays                 hash    queue -> how many of its messages are delayed
--   umbel:leases                 hash    token -> what the worker said of itself (JSON)
--   umbel:beats                  zset    token -> when it was last renewed
--   umbel:epochs                 hash    token -> the number of its epoch: what was asked in an earlier one is not done any more
--   umbel:held:TOKEN             hash    seq -> "KIND[VERDICT]\nLISTKEY\nELEMENT" of what that process holds, or the element alone
--   umbel:heads                  hash    token -> "KIND\nLISTKEY" of the elements that stand alone: the first list it took from
--   umbel:inboxes                hash    "TOKEN SEQ" -> LISTKEY of an inbox: what comes into that list the server moves there for the process that waits
--   umbel:inbox:TOKEN:SEQ        list    the message that was moved; it counts as held
--   umbel:inboxes-left           zset    "TOKEN SEQ LISTKEY" of one that nobody looks after any more -> until when something may come into it
--   umbel:job:ID                 string  "WHERE\nQUEUED\n" and what dispatch knew of the job (MessagePack);
--                                       WHERE is q or f or s and the list in which it waits (or did, before it was taken), or d and its member
--   umbel:unique:NAME            string  ID of the job that has this key
--   umbel:waits:ID               string  "NAME\nBODY": it has that key until a worker takes it, and what was put in its message's place
--   umbel:waits                  string  there while one of those may be
--   umbel:breaker:NAME           hash    open: until when nobody passes; probe, until: who passes then, for how long
--   umbel:breaker-failures:NAME  list    when it failed, the last few times
--   umbel:lock:NAME              string  "FENCE\nOWNER"
--   umbel:lock-waits:NAME        list    ids of jobs that wait for it, the first one first
--   umbel:slots:NAME, umbel:slot-owners:NAME, umbel:slot-waits:NAME   zset fencing number -> until when (milliseconds); hash fencing
--                                       number -> its owner; list of the jobs that wait
--   umbel:fences                 counter of fencing numbers
--   umbel:effect:NAME           hash    state (claimed, begun, asked, uncertain, done), owner, run, token, ends, result
--   umbel:effects                zset    NAME -> when its lease ends, or since when it is uncertain: of those that are or may become so
--   umbel:starts:NAME, umbel:firm:NAME   zset   starts of a limit, when: the mark of its ask, or the ID to which it is promised; those that are firm
--   umbel:plan:NAME              hash    what is remembered between two looks at them
--   umbel:limit-waits:BASE       zset    ID -> the start that is promised to it
--   umbel:limit-lags             hash    limit -> by how many seconds those came late that started last after they had waited
--   umbel:limits                 hash    limit -> "COUNT SECONDS BURST", what was changed live
--   umbel:line:NAME              string  "CALL\nNEW": the last call of a sender's connection, and how many jobs it brought
--   umbel:about:ID               string  the guard beside a result document that is no JSON object (MessagePack)
--   umbel:cancelled              hash    ID -> "AT RUNNING"
--   umbel:recorder               string  there while a recorder is expected: what happens to jobs is told then
--   umbel:events                 stream  what happened: q "LIST\nDUE\nELEMENT" of a message queued, e what one step settled (MessagePack, as
--                                       state/events.py packs it) and r the numbers of those among it that were refused
--   umbel:events-lost            counter of what found no room there
--   umbel:leaders                hash    application -> "NUMBER:TOKEN BEAT" of the scheduler that leads
--   umbel:ticks                  hash    schedule entry, as APPLICATION/NAME -> "LAST-RUN RUNS"
--   umbel:dead:order             zset    number of a dead letter -> the same, so that the newest come first
--   umbel:dead:heads             hash    number -> MessagePack [key, died, replays, replaying (0 or 1), what else lists show (JSON)]
--   umbel:dead:payloads, umbel:dead:failures   hash    number -> its message; number -> its attempts (JSON)
--   umbel:dead:keys              hash    key, which is its job's id -> number
--   umbel:dead                   list    dead letters of earlier versions, the newest first (MessagePack), until they are taken over
--   umbel:identity               string  the store's own name, for moves
--   umbel:crate                  hash    token, target, label of the crate that is packed for another store
--   umbel:crate:messages         list    its messages in their order (MessagePack)
--   umbel:crate:dead             list    its dead letters, each as number, head, payload, failures
--   umbel:crate:letters          list    those of earlier versions
--   umbel:crate:batches, umbel:crate:effects   list    ids of its batches; names of its uncertain effects
--   umbel:admitted               zset    tokens of crates that were admitted here -> when
--   umbel:seq, umbel:letters, umbel:cancels, umbel:terms    counters
--
-- An element is Kombu's envelope. What Umbel knows of it stands at its end, where Kombu does not look:
--   …,"umbel":"QUEUED PRIORITY DELIVERIES CRASHES ID"}
local P = ARGV[1]
local BAND = '\6\22'

local function now()
    local t = redis.call('TIME')
    return string.format('%d.%06d', t[1], t[2])
end

local function key(name) return P .. SPACE .. name end

-- Let this script go on when the server's memory is full: after a first command that needs none the server asks no more.
-- For what gives memory back, or keeps those alive who do. Not for what brings new jobs.
local function relieve() redis.call('DEL', key('nothing')) end

-- A counted number as text: Lua would round one of more than 14 digits.
local function digits(number) return string.format('%.0f', number) end

-- A held message with its head. To write one before each element is what would cost a fetch most.
local function whole(value, token)
    if string.sub(value, 1, 1) ~= '{' then return value end
    return redis.call('HGET', key('heads'), token) .. '\n' .. value
end

-- The next number of a held message. By the clock, so that a server that has lost the last ones never gives one twice,
-- which would let a late end settle another job.
local function renumber()
    local t = redis.call('TIME')
    local least = t[1] * 1000000 + t[2]
    if tonumber(redis.call('GET', key('seq')) or 0) < least then redis.call('SET', key('seq'), digits(least)) end
end

-- Return body, queued, priority, deliveries, crashes, id; the body alone of what a plain client sent.
local function read(element)
    local tail = string.sub(element, -200)
    local at, _, queued, priority, deliveries, crashes, id =
        string.find(tail, ',"umbel":"([%d.]+) (%d) (%d+) (%d+) ([^" ]*)"}$')
    if not at then return element, '0', nil, 0, 0, '' end
    return string.sub(element, 1, #element - #tail + at - 1) .. '}', queued, priority, tonumber(deliveries),
        tonumber(crashes), id
end

local function write(body, queued, priority, deliveries, crashes, id)
    if string.sub(body, -1) ~= '}' then return body end
    return string.sub(body, 1, -2) .. ',"umbel":"' .. queued .. ' ' .. priority .. ' ' .. deliveries .. ' ' .. crashes
        .. ' ' .. id .. '"}'
end

-- The queue and the priority band of a list's key, and the name in its queue's ring of one that is a share's line.
local function parts_of(list)
    local name = string.sub(list, #P + 1)
    local at = string.find(name, BAND, 1, true)
    if not at then return name, '0' end
    local queue, band = string.sub(name, 1, at - 1), string.sub(name, at + 2)
    local to = string.find(band, BAND, 1, true)
    if not to then return queue, band end
    return queue, string.sub(band, 1, to - 1), band
end

-- The list of its queue's messages that wait in no line.
local function plain_list(list)
    local queue, band = parts_of(list)
    return P .. queue .. (band == '0' and '' or BAND .. band)
end

local RANK = 1000000000000

-- Put a message into its list: at its end (LPUSH), or at its head (RPUSH), from where is taken. A line in which nothing has waited
-- gets a turn: after the next one's, and before that one's second. A job counts two.
local function enlist(how, list, element)
    redis.call(how, list, element)
    if not string.find(list, BAND .. '%d' .. BAND) then return end
    local queue, band, line = parts_of(list)
    local ring = key('ring:' .. queue)
    if redis.call('ZSCORE', ring, line) then return end
    local base = (9 - band) * RANK
    local first = redis.call('ZRANGEBYSCORE', ring, digits(base), digits(base + RANK - 1), 'WITHSCORES', 'LIMIT', 0, 1)[2]
    redis.call('ZADD', ring, digits(first and first + 1 or base), line)
end

-- Note that something was taken from a line, or may have been. With the last line of a band turns begin anew.
local function leave(list)
    if redis.call('EXISTS', list) == 1 then return end
    local queue, band, line = parts_of(list)
    local ring, base = key('ring:' .. queue), (9 - band) * RANK
    redis.call('ZREM', ring, line)
    if not redis.call('ZRANGEBYSCORE', ring, digits(base), digits(base + RANK - 1), 'LIMIT', 0, 1)[1] then
        redis.call('HDEL', key('turns'), plain_list(list))
    end
end

-- The lists of a queue's lines, the most urgent ones first.
local function lines_of(queue)
    local found = redis.call('ZRANGE', key('ring:' .. queue), 0, -1)
    for number, line in ipairs(found) do found[number] = P .. queue .. BAND .. line end
    return found
end

local function place(id, where)
    local known = id ~= '' and redis.call('GET', key('job:' .. id))
    if known then
        redis.call('SET', key('job:' .. id), where .. string.sub(known, string.find(known, '\n', 1, true), -1), 'KEEPTTL')
    end
end

-- Split "HEAD\nREST".
local function cut(text)
    local at = string.find(text, '\n', 1, true)
    return string.sub(text, 1, at - 1), string.sub(text, at + 1)
end

-- Remember a dispatched job, unless it is one that the store does not know by id.
local function remember(id, info, where, at)
    if id == '' then return end
    redis.call('SET', key('job:' .. id), where .. '\n' .. at .. '\n' .. info, 'EX', 2592000)
end

-- Put a message among the delayed; return the member that names it there.
local function postpone(list, element, id, due)
    local member = id
    if id == '' or redis.call('HEXISTS', key('later'), id) == 1 then
        member = id .. '\6' .. digits(redis.call('INCR', key('seq')))
    end
    redis.call('ZADD', key('delayed'), due, member)
    redis.call('HSET', key('later'), member, list .. '\n' .. element)
    redis.call('HINCRBY', key('delays'), (parts_of(list)), 1)
    return member
end

local MOST_EVENTS = 1000000

-- Whether what happens is told: nil until it is asked for.
local told

local function is_told()
    if told == nil then told = redis.call('EXISTS', key('recorder')) == 1 end
    return told
end

-- What is told at the end of this step, if it waits for something; its order is that of the telling.
local tellings

local function tell(...)
    if not is_told() then return end
    if tellings then
        tellings[#tellings + 1] = {...}
    elseif redis.call('XLEN', key('events')) < MOST_EVENTS then
        redis.call('XADD', key('events'), '*', ...)
    else
        redis.call('INCR', key('events-lost'))
    end
end

-- Tell what has ended in this step, but for what was refused, and then what follows from it.
local function tell_all(ended, refused)
    local following = tellings
    tellings = nil
    if ended ~= '' then tell('e', ended, 'r', table.concat(refused, ' ')) end
    for _, one in ipairs(following) do tell(unpack(one)) end
end

-- Put one message into its list, or among the delayed.
local function push(list, body, priority, id, info, due, at)
    local element = write(body, at, priority, 0, 0, id)
    if is_told() then tell('q', list .. '\n' .. due .. '\n' .. element) end
    if due == 0 then
        enlist('LPUSH', list, element)
        remember(id, info, 'q' .. list, at)
    else
        remember(id, info, 'd' .. postpone(list, element, id, due), at)
    end
end

-- Move one delayed message to its queue.
local function undelay(member)
    local found = redis.call('HGET', key('later'), member)
    redis.call('ZREM', key('delayed'), member)
    if not found then return end
    redis.call('HDEL', key('later'), member)
    local list, element = cut(found)
    redis.call('HINCRBY', key('delays'), (parts_of(list)), -1)
    local _, _, _, _, _, id = read(element)
    enlist('LPUSH', list, element)
    place(id, 'q' .. list)
end

-- Give a held message back to the head of where it came from. ``more``: deliveries to count.
local function take_back(value, more)
    local head, rest = cut(value)
    local kind, verdict = string.sub(head, 1, 1), string.sub(head, 2)
    local list, element = cut(rest)
    local body, queued, priority, deliveries, crashes, id = read(element)
    local queue, band = parts_of(list)
    local again = write(body, queued, priority or band, deliveries + more, crashes, id)
    if kind == 'f' then
        redis.call('RPUSH', key('front:' .. queue), verdict .. '\n' .. list .. '\n' .. again)
    elseif kind == 's' then
        redis.call('RPUSH', key('suspect:' .. queue), list .. '\n' .. again)
    else
        kind = 'q'
        enlist('RPUSH', list, again)
    end
    place(id, kind .. list)
end

-- How long what a process asked for may still be under way after it has gone, in seconds: longer than any network tries.
local LEFT = 1200

-- The inbox, the list from which its message is, and the inbox's field. ``mark`` is "TOKEN SEQ LISTKEY".
local function inbox_of(mark)
    local token, seq, list = string.match(mark, '^(%S+) (%S+) (.*)$')
    return key('inbox:' .. token .. ':' .. seq), list, token .. ' ' .. seq
end

-- Let a process have an inbox.
local function open_inbox(mark)
    local _, list, field = inbox_of(mark)
    redis.call('HSET', key('inboxes'), field, list)
end

-- Put what is in an inbox back to the head of its list, the newest first.
local function empty_inbox(mark)
    local inbox, list = inbox_of(mark)
    while true do
        local element = redis.call('LPOP', inbox)
        if not element then return end
        redis.call('RPUSH', list, element)
    end
end

-- Nobody looks after an inbox any more. What was asked for it before may be under way still, and is put back by a sweep.
local function leave_inbox(mark)
    local _, _, field = inbox_of(mark)
    redis.call('HDEL', key('inboxes'), field)
    empty_inbox(mark)
    redis.call('ZADD', key('inboxes-left'), digits(tonumber(now()) + LEFT), mark)
end

-- Hold the message of an inbox as any other. Returns nil if there is none.
local function land(token, seq)
    local field, inbox = token .. ' ' .. seq, key('inbox:' .. token .. ':' .. seq)
    local list = redis.call('HGET', key('inboxes'), field)
    local element = list and redis.call('RPOP', inbox)
    if not element then return nil end
    redis.call('HDEL', key('inboxes'), field)
    redis.call('HSET', key('held:' .. token), seq, 'q\n' .. list .. '\n' .. element)
    return seq
end

-- Hold the messages of all inboxes of a process, which uses none of them any more.
local function land_all(token)
    local all = redis.call('HGETALL', key('inboxes'))
    for at = 1, #all, 2 do
        local seq = string.sub(all[at], 1, #token + 1) == token .. ' ' and string.sub(all[at], #token + 2)
        if seq and not land(token, seq) then leave_inbox(all[at] .. ' ' .. all[at + 1]) end
    end
end

-- Whether a process holds the message of a job.
local function is_held(id)
    local tail = ' ' .. id .. '"}'
    for _, field in ipairs(redis.call('HKEYS', key('inboxes'))) do
        for _, element in ipairs(redis.call('LRANGE', key('inbox:' .. string.gsub(field, ' ', ':')), 0, -1)) do
            if string.sub(element, -#tail) == tail then return true end
        end
    end
    for _, token in ipairs(redis.call('HKEYS', key('leases'))) do
        for _, value in ipairs(redis.call('HVALS', key('held:' .. token))) do
            if string.sub(value, -#tail) == tail then return true end
        end
    end
    return false
end

-- Make a suspect of a held message, or condemn it.
local function strike(list, element, alone, limit)
    local body, queued, priority, deliveries, crashes, id = read(element)
    local queue, band = parts_of(list)
    if alone then crashes = crashes + 1 end
    local struck = write(body, queued, priority or band, deliveries + 1, crashes, id)
    if alone and crashes >= limit then
        local verdict = 'worker lost: its process died ' .. crashes .. ' times with this job alone in it'
        redis.call('RPUSH', key('front:' .. queue), verdict .. '\n' .. list .. '\n' .. struck)
        place(id, 'f' .. list)
    else
        redis.call('RPUSH', key('suspect:' .. queue), list .. '\n' .. struck)
        place(id, 's' .. list)
    end
end

-- A job's guard: state, final (0 or 1), when it was written, attempt, task, queue, owner, and of a passing state when its message was
-- queued. It stands at the end of the document, where nobody else looks, or beside one that is no JSON object, and then says last
-- whether that is text.
local GUARD, LONGEST = ',"umbel":', 2000

-- The ends of some jobs' documents, false for one that has none: as they were looked up, or written in this step.
local documents = {}

local function document_key(id) return P .. 'celery-task-meta-' .. id end

-- Read the documents of many jobs at once.
local function look_up(ids)
    for start = 1, #ids, 1000 do
        local keys = {}
        for at = start, math.min(start + 999, #ids) do keys[#keys + 1] = document_key(ids[at]) end
        for number, known in ipairs(redis.call('MGET', unpack(keys))) do documents[ids[start + number - 1]] = known end
    end
end

local function guard_in(document)
    local mark = string.match(string.sub(document, -LONGEST), '^.*' .. GUARD .. '(%[.*%])}$')
    local good, guard = pcall(cjson.decode, mark or '')
    return good and #guard >= 7 and guard
end

-- The guard of a job; nothing for one without a state, or whose state a plain client has written.
local function guard_of(id)
    local document = documents[id]
    if document == nil then document = redis.call('GETRANGE', document_key(id), -LONGEST, -1) end
    if not document or document == '' then return nil end
    local guard = guard_in(document)
    if guard then return guard end
    local beside = redis.call('GET', key('about:' .. id))
    return beside and cmsgpack.unpack(beside) or nil
end

local function put(name, value, ttl)
    if tonumber(ttl) == 0 then redis.call('SET', name, value) else redis.call('SET', name, value, 'PX', ttl) end
end

local function write_document(id, document, ttl)
    documents[id] = document
    put(document_key(id), document, ttl)
    redis.call('PUBLISH', document_key(id), document)
end

-- Write a job's first document; false if it has one.
local function write_first(id, document, ttl)
    local name = document_key(id)
    local free
    if ttl == '0' then free = redis.call('SET', name, document, 'NX')
    else free = redis.call('SET', name, document, 'PX', ttl, 'NX') end
    if not free then return false end
    documents[id] = document
    redis.call('PUBLISH', name, document)
    return true
end

local function write_state(id, text, meta, guard, ttl)
    local mark = cjson.encode(guard)
    if text == 1 and #mark < LONGEST - #GUARD and string.find(meta, '^{".*}$') then
        meta = string.sub(meta, 1, -2) .. GUARD .. mark .. '}'
    else
        guard[#guard + 1] = text
        put(key('about:' .. id), cmsgpack.pack(guard), ttl)
    end
    write_document(id, meta, ttl)
end

-- Whether what is said of a message that was queued ``since`` is of an earlier try than the passing state that is there, or of an earlier
-- turn of the same try: it may be written late, when the next one has begun.
local function is_earlier(since, attempt, old)
    local known = old[4] or 0
    return tonumber(since) > 0 and (attempt < known or (attempt == known and tonumber(since) < tonumber(old[8] or 0)))
end

-- Store a job's state and its guard; an end is overwritten only by what was queued after it, and a passing state not by a first one.
local function store(record, at)
    local id, state, final, text, meta, attempt, task, queue, owner, ttl, since, first = unpack(record)
    local old = guard_of(id)
    if old and first == 1 and old[2] ~= 1 then return end
    if old and tonumber(since) <= tonumber(old[3]) then
        if old[2] == 1 or (final == 0 and is_earlier(since, attempt, old)) then return end
    end
    if old then
        if task == '' then task = old[5] end
        if queue == '' then queue = old[6] end
        if owner == '' then owner = old[7] end
    end
    write_state(id, text, meta, {state, final, at, attempt, task, queue, owner, final == 0 and since or nil}, ttl)
end

-- Drop a dead letter by its number; return its head.
local function unbury(number)
    redis.call('ZREM', key('dead:order'), number)
    local packed = redis.call('HGET', key('dead:heads'), number)
    if not packed then return nil end
    local head = cmsgpack.unpack(packed)
    if redis.call('HGET', key('dead:keys'), head[1]) == number then redis.call('HDEL', key('dead:keys'), head[1]) end
    redis.call('HDEL', key('dead:heads'), number)
    redis.call('HDEL', key('dead:payloads'), number)
    redis.call('HDEL', key('dead:failures'), number)
    return head
end

-- Put a dead letter where it is found.
local function inter(number, head, payload, failures)
    redis.call('ZADD', key('dead:order'), number, number)
    redis.call('HSET', key('dead:heads'), number, cmsgpack.pack(head))
    redis.call('HSET', key('dead:payloads'), number, payload)
    redis.call('HSET', key('dead:failures'), number, failures)
    redis.call('HSET', key('dead:keys'), head[1], number)
end

-- Keep a dead letter, under a new number, in place of the one that its job has. With ``most`` above 0 the oldest make room.
local function bury(letter, died)
    local name, replays, replaying, info, payload, failures, most = unpack(letter)
    local old = redis.call('HGET', key('dead:keys'), name)
    local head = old and unbury(old)
    if head then replays = math.max(replays, head[3]) end
    inter(digits(redis.call('INCR', key('letters'))), {name, died, replays, replaying, info}, payload, failures)
    while most > 0 and redis.call('HLEN', key('dead:heads')) > most do
        unbury(redis.call('ZRANGE', key('dead:order'), 0, 0)[1])
    end
end

-- Whether a dead letter may be replayed, as whoever asks has read it; it is marked as being so.
local function exhume(number, name, replays, again)
    local packed = redis.call('HGET', key('dead:heads'), number)
    local head = packed and cmsgpack.unpack(packed)
    if not head or head[1] ~= name or head[3] ~= replays or (head[4] == 1 and not again) then return false end
    head[3], head[4] = replays + 1, 1
    redis.call('HSET', key('dead:heads'), number, cmsgpack.pack(head))
    return true
end

-- Write what a job's end means for its dead letter: ["dead", letter], ["close", key] or ["reopen", key].
local function end_letter(ending, at)
    local kind, what = unpack(ending)
    if kind == 'dead' then return bury(what, at) end
    local number = redis.call('HGET', key('dead:keys'), what)
    if not number then return end
    if kind == 'close' then unbury(number) return end
    local head = cmsgpack.unpack(redis.call('HGET', key('dead:heads'), number))
    head[4] = 0
    redis.call('HSET', key('dead:heads'), number, cmsgpack.pack(head))
end
