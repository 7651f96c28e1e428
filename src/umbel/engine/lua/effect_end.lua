-- What claimants say of their effects. ARGV: prefix, then for each its name, token, begin or complete or release or doubt, and for complete the
-- result and for how many milliseconds it is kept. Returns for each 0 if the claim was lost, else 1.
relieve()

local function note(name, token, word, result, milliseconds)
    local state, owner, run, other_token, ends = effect_of(name)
    if not state or other_token ~= token then return 0 end
    if word == 'complete' then
        keep_effect(name, result, milliseconds)
    elseif state == 'done' or (state == 'uncertain' and word ~= 'release') then
        return 0
    elseif word == 'release' then
        drop_effect(name)
    else
        -- One that was claimed only would end by itself.
        redis.call('DEL', effect_key(name))
        redis.call('HSET', effect_key(name), 'owner', owner, 'run', run, 'token', token)
        mark_effect(name, word == 'begin' and 'begun' or 'uncertain', word == 'begin' and ends or clock())
    end
    return 1
end

local answer = {}
for at = 2, #ARGV, 5 do answer[#answer + 1] = note(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]) end
return answer
