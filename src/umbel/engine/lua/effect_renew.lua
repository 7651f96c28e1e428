-- ARGV: prefix, milliseconds, then pairs of name and token. Returns 1 for each claim that lasts on, 0 for each that was lost.
relieve()
local ends, answer = clock() + tonumber(ARGV[2]), {}
for at = 3, #ARGV, 2 do
    local name = ARGV[at]
    local state, _, _, token = effect_of(name)
    local held = state and token == ARGV[at + 1] and (state == 'claimed' or state == 'begun' or state == 'asked')
    if held and state == 'claimed' then
        redis.call('HSET', effect_key(name), 'ends', digits(ends))
        redis.call('PEXPIRE', effect_key(name), ARGV[2])
    elseif held then
        mark_effect(name, state, ends)
    end
    answer[#answer + 1] = held and 1 or 0
end
return answer
