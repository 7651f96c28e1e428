-- ARGV: prefix, token, MessagePack [[seq, key, list, priority, id, repeated, alone], …].
-- Returns for each: verdict, seq, queued, deliveries, condemned, cancelled; nothing when the lease has ended.
local token = ARGV[2]
if redis.call('HEXISTS', key('leases'), token) == 0 then return {} end
local held = key('held:' .. token)
local answer = {}

local function say(...)
    for _, value in ipairs({...}) do answer[#answer + 1] = tostring(value) end
end

local function hold(seq, name, list, priority, id, alone, kind, deliveries, crashes, verdict)
    local job = id ~= '' and redis.call('GET', key('job:' .. id))
    local queued = '0'
    if job then
        local _, rest = cut(job)
        queued = (cut(rest))
    end
    local head = kind == 'c' and 'f' .. verdict or (alone and 's' or 'q')
    local element = '{"key":"' .. name .. '","umbel":"' .. queued .. ' ' .. priority .. ' ' .. deliveries .. ' '
        .. crashes .. ' ' .. id .. '"}'
    redis.call('HSET', held, seq, head .. '\n' .. list .. '\n' .. element)
    set_claim(name, 'h', deliveries, crashes, token .. ' ' .. seq)
    redis.call('HDEL', key('suspects'), name)
    redis.call('ZREM', key('later:' .. (parts_of(list))), name .. ' ' .. id)
    place(id, 'h' .. token .. ' ' .. seq)
    local cancelled = id ~= '' and redis.call('HEXISTS', key('cancelled'), id)
    say('run', seq, queued, deliveries, kind == 'c' and verdict or '', cancelled or 0)
end

local function mine(seq)
    local head, after = cut(redis.call('HGET', held, seq))
    local _, element = cut(after)
    local _, queued, _, deliveries, _, id = read(element)
    local cancelled = id ~= '' and redis.call('HEXISTS', key('cancelled'), id)
    say('mine', seq, queued, deliveries, string.sub(head, 1, 1) == 'f' and string.sub(head, 2) or '', cancelled or 0)
end

for _, claim in ipairs(cmsgpack.unpack(ARGV[3])) do
    local seq, name, list, priority, id, repeated, alone = unpack(claim)
    local kind, deliveries, crashes, rest = claim_of(name)
    if kind == 'h' then
        local owner, other = string.match(rest, '^(%S+) (%d+)$')
        if owner == token then mine(other) else say('held', 0, 0, 0, '', 0) end
    elseif kind == 'e' and repeated then
        say('ended', 0, 0, 0, '', 0)
    elseif kind == 's' and not alone then
        redis.call('HSET', key('suspects'), name, (parts_of(list)))
        say('suspect', 0, 0, 0, '', 0)
    else
        hold(seq, name, list, priority, id, alone, kind, deliveries, crashes, rest)
    end
end
return answer
