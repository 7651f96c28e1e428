-- Let leases be seen to live. ARGV: prefix, tokens…. Returns those that the store does not know, because others gave them up.
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
return lost
