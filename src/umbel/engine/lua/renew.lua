-- Let leases be seen to live, and once a second put back what came into an inbox that nobody looks after. ARGV: prefix, tokens….
-- Returns those that the store does not know, because others gave them up.
relieve()
local at = now()
local lost = {}
for number = 2, #ARGV do
    if redis.call('HEXISTS', key('leases'), ARGV[number]) == 1 then
        redis.call('ZADD', key('beats'), at, ARGV[number])
    else
        lost[#lost + 1] = ARGV[number]
    end
end
if redis.call('SET', key('inboxes-swept'), 1, 'NX', 'PX', 1000) then
    local all = redis.call('HGETALL', key('inboxes'))
    for number = 1, #all, 2 do
        local token = string.match(all[number], '^%S+')
        if redis.call('HEXISTS', key('leases'), token) == 0 then leave_inbox(all[number] .. ' ' .. all[number + 1]) end
    end
    for _, mark in ipairs(redis.call('ZRANGE', key('inboxes-left'), 0, -1)) do empty_inbox(mark) end
    redis.call('ZREMRANGEBYSCORE', key('inboxes-left'), '-inf', at)
end
return lost
