-- What a claimant says of its effect. ARGV: prefix, name, token, begin or complete or release or doubt; for complete also the result and
-- for how many milliseconds it is kept. Returns 0 if the claim was lost.
relieve()
local name, word = ARGV[2], ARGV[4]
local state, owner, run, token, ends = effect_of(name)
if not state or token ~= ARGV[3] then return 0 end
if word == 'complete' then
    keep_effect(name, ARGV[5], ARGV[6])
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
