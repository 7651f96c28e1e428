-- Whether this server has what 6.2 brought: a count for RPOP. ARGV: prefix. Returns 1 or 0.
local answer = redis.pcall('RPOP', key('nothing'), 1)
if type(answer) ~= 'table' or not answer.err then return 1 end
if string.find(answer.err, 'arguments', 1, true) or string.find(answer.err, 'nknown', 1, true) then return 0 end
return answer
