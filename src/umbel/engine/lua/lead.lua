-- Lead, go on leading, or see who leads. ARGV: prefix, name, token, what was seen of a leader that has stood still, or "".
-- Returns [1 if this one leads, "TERM BEAT" of who does]. A term is "NUMBER:TOKEN".
local leaders, name, token, dead = key('leaders'), ARGV[2], ARGV[3], ARGV[4]
local current = redis.call('HGET', leaders, name)
local said = current
local mine = 0
if current then
    local term, beat = string.match(current, '^(%S+) (%d+)$')
    if string.match(term, ':(.*)$') == token then
        mine, said = 1, term .. ' ' .. (tonumber(beat) + 1)
    end
end
if not current or (dead ~= '' and current == dead) then
    mine, said = 1, redis.call('INCR', key('terms')) .. ':' .. token .. ' 0'
end
if mine == 1 then redis.call('HSET', leaders, name, said) end
return {mine, said}
