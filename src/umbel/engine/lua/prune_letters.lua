-- Drop up to 500 dead letters that are above the limits. ARGV: prefix, how many are kept, when those that are kept have died at the earliest.
-- Returns how many.
relieve()
local most, earliest = tonumber(ARGV[2]), tonumber(ARGV[3])
for dropped = 0, 499 do
    local oldest = redis.call('ZRANGE', key('dead:order'), 0, 0)[1]
    local packed = oldest and redis.call('HGET', key('dead:heads'), oldest)
    local is_young = packed and tonumber(cmsgpack.unpack(packed)[2]) >= earliest
    if not oldest or (is_young and redis.call('HLEN', key('dead:heads')) <= most) then return dropped end
    unbury(oldest)
end
return 500
