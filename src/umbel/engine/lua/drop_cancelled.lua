-- Drop waiting messages of cancelled jobs. ARGV: prefix, list, elements…. Returns how many that were.
local dropped = 0
for at = 3, #ARGV do
    dropped = dropped + redis.call('LREM', ARGV[2], 1, ARGV[at])
    local _, _, _, _, _, id = read(ARGV[at])
    if id ~= '' then redis.call('DEL', key('job:' .. id)) end
end
return dropped
