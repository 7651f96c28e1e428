-- ARGV: prefix, MessagePack [[key, list, priority, id, info, due, once, body or ""], …]: jobs whose messages are about to
-- be published; a body is there where somebody records.
local at = now()
for _, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local named, list, priority, id, info, due, once, body = unpack(message)
    know(named, list, priority, id, info, due, once, body, at)
end
