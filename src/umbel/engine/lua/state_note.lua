-- ARGV: prefix, MessagePack [[key, list, priority, id, info, due, once], …]: jobs whose messages are about to be published.
local at = now()
for _, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local name, list, priority, id, info, due, once = unpack(message)
    if not (once and id ~= '' and redis.call('EXISTS', key('job:' .. id)) == 1) then
        if due == 0 then remember(id, info, 'b', at)
        else
            remember(id, info, 'b' .. due, at)
            redis.call('ZADD', key('later:' .. (parts_of(list))), due, name .. ' ' .. id)
        end
    end
end
