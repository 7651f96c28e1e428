-- ARGV: prefix, MessagePack [[key, list, priority, id, info, due, once, body or "", name of its key or "", milliseconds, until its start
-- (0 or 1)], …]: jobs whose messages are about to be published. Returns for each the id of the job that has its key.
local at = now()

local holders = {}
for number, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local named, list, priority, id, info, due, once, body, name, milliseconds, until_start = unpack(message)
    local holder = name == '' and id or take(name, id, milliseconds, until_start)
    holders[number] = holder
    if holder == id then know(named, list, priority, id, info, due, once, body, at) end
end
return holders
