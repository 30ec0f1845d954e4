-- Health of Backstay's documents for Argo CD, by their conditions (kstatus).
-- In: obj, the resource · Out: a table with status and message · Plain Lua 5.1

local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, found in ipairs(obj.status.conditions) do
      if found.type == kind then
        return found
      end
    end
  end
  return nil
end

local function is(found, status)
  return found ~= nil and found.status == status
end

local function health(status, found, otherwise)
  local message = otherwise
  if found ~= nil and found.message ~= nil and found.message ~= "" then
    message = found.message
  end
  return { status = status, message = message }
end

local ready, reconciling, stalled = condition("Ready"), condition("Reconciling"), condition("Stalled")
local spec = obj.spec or {}

if spec.suspend == true then
  return health("Suspended", nil, "the policy is suspended")
end
-- A person starts this one, so nobody should wait for it.
if obj.kind == "RestoreRequest" and (spec.when == nil or spec.when == "Manual") and ready == nil then
  return health("Suspended", nil, "waits for backstay restore apply")
end
local seen = obj.status ~= nil and obj.status.observedGeneration or nil
if seen ~= nil and obj.metadata.generation ~= nil and seen < obj.metadata.generation then
  return health("Progressing", nil, "Backstay has not looked at this version yet")
end
if is(stalled, "True") then
  return health("Degraded", stalled, "stalled")
end
if is(reconciling, "True") then
  return health("Progressing", reconciling, "at work")
end
if is(ready, "True") then
  return health("Healthy", ready, "ready")
end
if is(ready, "False") then
  return health("Degraded", ready, "not ready")
end
return health("Progressing", ready, "Backstay has not looked at it yet")
