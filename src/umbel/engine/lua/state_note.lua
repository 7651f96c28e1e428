-- ARGV: prefix, MessagePack [[key, list, priority, id, info, due, once], …]: jobs whose messages are about to be published.
local at = now()
for _, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local named, list, _, id, info, due, once = unpack(message)
    know(named, list, id, info, due, once, at)
end
