-- The lanes into which messages of some shares of a queue are about to go: umbel.engine.lanes.LaneCounts is the same rule.
-- ARGV: prefix, queue, how many lanes, for how many seconds a look at them counts, MessagePack [[share, how many messages], …],
-- MessagePack [how many messages are in each lane], or of nothing. Returns {0} when somebody is to look first, else 1 and the
-- lane of each share.
local queue, lanes, lasts = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local shares, sizes = cmsgpack.unpack(ARGV[5]), cmsgpack.unpack(ARGV[6])
local counts, kept = key('lanes:' .. queue), key('lane-shares:' .. queue)
local at = tonumber(now())

-- The numbers of what was put there last (t), up to which nothing waits (h), and of what was there at the last look (b).
local function fields(kind)
    local names = {}
    for lane = 1, lanes do names[lane] = kind .. (lane - 1) end
    return names
end

local function read(kind)
    local found = redis.call('HMGET', counts, unpack(fields(kind)))
    for lane = 1, lanes do found[lane] = tonumber(found[lane] or 0) end
    return found
end

local function write(kind, values)
    local words = {}
    for lane, name in ipairs(fields(kind)) do
        words[2 * lane - 1] = name
        words[2 * lane] = digits(values[lane])
    end
    redis.call('HSET', counts, unpack(words))
end

local tails, heads = read('t'), read('h')
local passed = at - tonumber(redis.call('HGET', counts, 'looked') or 0)
if passed < 0 or passed >= lasts then
    if #sizes == 0 then return {0} end
    local before = read('b')
    for lane = 1, lanes do heads[lane] = math.min(tails[lane] - sizes[lane], before[lane]) end
    write('h', heads)
    write('b', tails)
    redis.call('HSET', counts, 'looked', string.format('%.6f', at))
    redis.call('SADD', key('laned'), queue)
end

local function lightest()
    local best = 1
    for lane = 2, lanes do
        if tails[lane] - heads[lane] < tails[best] - heads[best] then best = lane end
    end
    return best
end

local answer = {1}
for _, wanted in ipairs(shares) do
    local share, count = unpack(wanted)
    local known = redis.call('HGET', kept, share)
    local lane, number = string.match(known or '', '^(%d+) (%d+)$')
    lane = lane and tonumber(number) > heads[lane + 1] and lane + 1 or lightest()
    tails[lane] = tails[lane] + count
    redis.call('HSET', kept, share, (lane - 1) .. ' ' .. digits(tails[lane]))
    answer[#answer + 1] = lane - 1
end
write('t', tails)
return answer
