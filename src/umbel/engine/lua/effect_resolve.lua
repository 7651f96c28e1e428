-- Say of an uncertain effect what somebody has found out. ARGV: prefix, name, done or undone, result, for how many milliseconds it is kept.
-- Returns 0 if it is not uncertain.
relieve()
local name = ARGV[2]
local state, _, _, _, ends = effect_of(name)
if not state or state == 'done' or state == 'claimed' or (state ~= 'uncertain' and ends > clock()) then return 0 end
if ARGV[3] == 'done' then keep_effect(name, ARGV[4], ARGV[5]) else drop_effect(name) end
return 1
