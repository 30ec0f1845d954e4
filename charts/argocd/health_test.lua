-- Runs health.lua over the table below and says what differs. usage: lua health_test.lua health.lua

local function object(kind, spec, seen, ...)
  local conditions = {}
  for _, text in ipairs({ ... }) do
    local name, status, message = text:match("^(%w+)=(%w+):?(.*)$")
    table.insert(conditions, { type = name, status = status, message = message })
  end
  return {
    kind = kind,
    metadata = { generation = 2 },
    spec = spec,
    status = seen ~= nil and { observedGeneration = seen, conditions = conditions } or nil,
  }
end

local cases = {
  { "no status yet", object("BackupPolicy", {}, nil), "Progressing", "Backstay has not looked at it yet" },
  { "ready", object("BackupPolicy", {}, 2, "Ready=True:next run at 03:00"), "Healthy", "next run at 03:00" },
  { "ready without a message", object("BackupPolicy", {}, 2, "Ready=True"), "Healthy", "ready" },
  { "an older version was ready", object("BackupPolicy", {}, 1, "Ready=True:fine"), "Progressing", "Backstay has not looked at this version yet" },
  { "not ready", object("BackupLocation", {}, 2, "Ready=False:no such bucket"), "Degraded", "no such bucket" },
  { "unknown", object("BackupLocation", {}, 2, "Ready=Unknown:looking"), "Progressing", "looking" },
  { "no conditions", object("BackupLocation", {}, 2), "Progressing", "Backstay has not looked at it yet" },
  { "at work", object("RestoreRequest", { when = "Always" }, 2, "Ready=False:wave 3", "Reconciling=True:wave 3"), "Progressing", "wave 3" },
  { "stalled goes before the rest", object("PolicyRepository", {}, 2, "Reconciling=True", "Stalled=True:bad signature", "Ready=False"), "Degraded", "bad signature" },
  { "not stalled", object("PolicyRepository", {}, 2, "Stalled=False", "Reconciling=False", "Ready=True"), "Healthy", "ready" },
  { "suspended", object("BackupPolicy", { suspend = true }, 2, "Ready=False:suspended"), "Suspended", "the policy is suspended" },
  { "by hand", object("RestoreRequest", { when = "Manual" }, nil), "Suspended", "waits for backstay restore apply" },
  { "by hand, by default", object("RestoreRequest", {}, nil), "Suspended", "waits for backstay restore apply" },
  { "by hand, and done", object("RestoreRequest", {}, 2, "Ready=True:restored"), "Healthy", "restored" },
  { "by itself", object("RestoreRequest", { when = "EmptyCluster" }, nil), "Progressing", "Backstay has not looked at it yet" },
  { "without spec", object("BackupPolicy", nil, 2, "Ready=True"), "Healthy", "ready" },
}

local failed = 0
for _, case in ipairs(cases) do
  local name, given, status, message = case[1], case[2], case[3], case[4]
  obj = given
  local said = dofile(arg[1])
  if said.status ~= status or said.message ~= message then
    failed = failed + 1
    print(string.format("%s: %s (%s) instead of %s (%s)", name, said.status, said.message, status, message))
  end
end
print(string.format("%d of %d cases as expected", #cases - failed, #cases))
os.exit(failed == 0 and 0 or 1)
