-- How many messages wait in the lines of queues. ARGV: prefix, queues…. Returns a number for each.
local answer = {}
for at = 2, #ARGV do
    local size = 0
    for _, line in ipairs(lines_of(ARGV[at])) do size = size + redis.call('LLEN', line) end
    answer[#answer + 1] = size
end
return answer
