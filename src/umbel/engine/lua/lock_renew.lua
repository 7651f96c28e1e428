-- ARGV: prefix, milliseconds, then pairs of name and fencing number. Returns 1 for each lock that lasts on, 0 for each that was lost.
local answer = {}
for at = 3, #ARGV, 2 do
    local lock = key('lock:' .. ARGV[at])
    local known = redis.call('GET', lock)
    local held = known and (cut(known)) == ARGV[at + 1]
    if held then redis.call('PEXPIRE', lock, ARGV[2]) end
    answer[#answer + 1] = held and 1 or 0
end
return answer
