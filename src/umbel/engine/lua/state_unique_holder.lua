-- ARGV: prefix, name. Returns the id of the job that has this key, or "".
local known = redis.call('GET', key('unique:' .. ARGV[2]))
if not known then return '' end
local holder = string.sub(known, 2)
return counts(holder, string.sub(known, 1, 1)) and holder or ''
