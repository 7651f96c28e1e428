-- Free locks, and let the first delayed job of those that wait for each be due. ARGV: prefix, then pairs of name and fencing number.
-- Returns 1 for each that was freed, 0 for each that was lost.
local answer = {}
for at = 2, #ARGV, 2 do
    local lock, waits = key('lock:' .. ARGV[at]), key('lock-waits:' .. ARGV[at])
    local known = redis.call('GET', lock)
    local held = known and (cut(known)) == ARGV[at + 1]
    if held then
        redis.call('DEL', lock)
        wake_first(waits)
    end
    answer[#answer + 1] = held and 1 or 0
end
return answer
