-- Claim effects: as judge() in state/effects.py says. ARGV: prefix, then for each its name, owner, run, token, milliseconds, whether it begins
-- (1 or 0), what to do with one that is uncertain (leave, take, repeat). Returns for each {standing, milliseconds, whether it is held, result}.
local now = clock()

local function take(name, as, owner, run, token, milliseconds)
    local at = effect_key(name)
    -- With how long it lasts.
    redis.call('DEL', at)
    redis.call('HSET', at, 'state', as, 'owner', owner, 'run', run, 'token', token, 'ends', digits(now + milliseconds))
    if as == 'claimed' then
        redis.call('PEXPIRE', at, milliseconds)
        redis.call('ZREM', key('effects'), name)
    else
        redis.call('ZADD', key('effects'), digits(now + milliseconds), name)
    end
end

local function claim(name, owner, run, token, milliseconds, begun, doubtful)
    local state, other, other_run, other_token, ends, result = effect_of(name)
    local again = state and other == owner and other_run ~= run
    -- Its key may be there for a millisecond more than its claim.
    if not state or (state == 'claimed' and (again or ends <= now)) then
        take(name, begun and 'begun' or 'claimed', owner, run, token, milliseconds)
        return {'mine', 0, 1, ''}
    end
    if state == 'done' then return {'done', 0, 0, result or ''} end
    if other_token == token and state ~= 'uncertain' then return {state == 'asked' and 'uncertain' or 'mine', 0, 1, ''} end
    if state ~= 'uncertain' and ends > now and not again then return {'running', ends - now, 0, ''} end
    if doubtful == 'leave' then
        if state ~= 'uncertain' then mark_effect(name, 'uncertain', math.min(ends, now)) end
        return {'uncertain', 0, 0, ''}
    end
    take(name, doubtful == 'take' and 'asked' or 'begun', owner, run, token, milliseconds)
    return {doubtful == 'take' and 'uncertain' or 'mine', 0, 1, ''}
end

local answer = {}
for at = 2, #ARGV, 7 do
    answer[#answer + 1] = claim(
        ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]), ARGV[at + 5] == '1', ARGV[at + 6]
    )
end
return answer
