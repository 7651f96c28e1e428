-- What the scripts of the state store beside another broker begin with, after keys.lua.
--
--   umbel:queues, umbel:leases, umbel:cancelled, umbel:chord:ID, umbel:dead, umbel:about:ID   as with the Redis engine
--   …claim:KEY                 string  "KIND DELIVERIES CRASHES\nREST": h held ("TOKEN SEQ"), f free, s suspect,
--                                      c condemned (the verdict), e ended
--   …held:TOKEN                hash    seq -> "KIND[VERDICT]\nQUEUE\n{"key":"KEY","umbel":"QUEUED PRIORITY DELIVERIES CRASHES ID"}"
--   …job:ID                    string  "bDUE" (at the broker) or "hTOKEN SEQ", then as with the Redis engine
--   …later:QUEUE               zset    "KEY ID" -> when it is due
--   …unique:NAME               string  "UNTIL_START" (0 or 1) and ID of the job that has this key
--   …laned                     set     queues that have lanes
--   …lanes:QUEUE               hash    t, h, b and a lane: the numbers of what was put there last, up to which nothing waits, and of
--                                      what had been put there at the last look, which was at looked
--   …lane-shares:QUEUE         hash    share -> "LANE NUMBER" of its last message
--   …suspects                  hash    KEY -> queue, of what waits to run alone
--   …outbox                    hash    number -> MessagePack [token, at, list, body, priority, id, info, due]
local MONTH, ENDED = 2592000, 3600

local function claim_key(name) return key('claim:' .. name) end

-- Return kind, deliveries, crashes, rest.
local function claim_of(name)
    local found = redis.call('GET', claim_key(name))
    if not found then return nil, 0, 0, '' end
    local head, rest = cut(found)
    local kind, deliveries, crashes = string.match(head, '^(%a) (%d+) (%d+)$')
    return kind, tonumber(deliveries), tonumber(crashes), rest
end

local function set_claim(name, kind, deliveries, crashes, rest, seconds)
    redis.call('SET', claim_key(name), kind .. ' ' .. deliveries .. ' ' .. crashes .. '\n' .. rest, 'EX', seconds or MONTH)
end

local function named(element) return string.match(element, '^{"key":"([^"]*)"') end

-- Let a held message go back to the broker: as it was, as a suspect, or condemned.
local function free(found, verdict, struck, alone, limit)
    local head, rest = cut(found)
    local kind, known = string.sub(head, 1, 1), string.sub(head, 2)
    local list, element = cut(rest)
    local _, _, _, deliveries, crashes, id = read(element)
    -- The broker has it among the suspects.
    if kind == 's' then redis.call('HSET', key('suspects'), named(element), (parts_of(list))) end
    if kind == 'q' then kind = 'f' end
    if kind == 'f' and known ~= '' then kind, verdict = 'c', known end
    if struck and kind ~= 'c' then
        if alone then crashes = crashes + 1 end
        kind = 's'
        if alone and crashes >= limit then
            verdict = 'worker lost: its process died ' .. crashes .. ' times with this job alone in it'
        end
    end
    if verdict then kind = 'c' end
    set_claim(named(element), kind, deliveries + 1, crashes, verdict or '')
    place(id, 'b')
end

-- Put what is to be published into the outbox; return its number there.
local function post(token, message, at)
    local list, body, priority, id, info, due = unpack(message)
    local number = redis.call('INCR', key('seq'))
    redis.call('HSET', key('outbox'), number, cmsgpack.pack({token, at, list, body, priority, id, due}))
    if is_told() then tell('q', list .. '\n' .. due .. '\n' .. write(body, at, priority, 0, 0, id)) end
    remember(id, info, due == 0 and 'b' or 'b' .. due, at)
    return number
end

-- Know a job whose message is about to be published, unless it is not to be queued again and is known.
local function know(named_as, list, priority, id, info, due, once, body, at)
    if once and id ~= '' and redis.call('EXISTS', key('job:' .. id)) == 1 then return end
    if body ~= '' and is_told() then tell('q', list .. '\n' .. due .. '\n' .. write(body, at, priority, 0, 0, id)) end
    if due == 0 then
        remember(id, info, 'b', at)
    else
        remember(id, info, 'b' .. due, at)
        redis.call('ZADD', key('later:' .. (parts_of(list))), due, named_as .. ' ' .. id)
    end
end
