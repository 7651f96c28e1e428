-- ARGV: prefix, MessagePack [[list, body, priority, id, info, due, once], …]. Returns how many were new.
local at = now()
local new = 0
local function known(id)
    return redis.call('EXISTS', key('job:' .. id), key('about:' .. id)) > 0
end
for _, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local list, body, priority, id, info, due, once = unpack(message)
    if not (once and id ~= '' and known(id)) then
        push(list, body, priority, id, info, due, at)
        new = new + 1
    end
end
return new
