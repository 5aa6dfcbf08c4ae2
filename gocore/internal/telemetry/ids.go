// The ids of fields. Those with a number of their own per phase are given by
// their first: server, queue, daemon, application, request, GIL wait, input
// read, output write.
package telemetry

// Who sends.
const (
	ModWSGI uint16 = iota + 1
	Python
	Server
	MPM
	Hostname
	ProcessGroup
	Parent
	Interpreter
)

// What an interval has counted.
const (
	Period         uint16 = 10
	Every          uint16 = 11 // the interval that the configuration asks for
	SlowThreshold  uint16 = 12
	SwitchInterval uint16 = 13
	Requests       uint16 = 20
	Throughput     uint16 = 21
	Capacity       uint16 = 22
	UserRate       uint16 = 30
	SystemRate     uint16 = 31
	CPURate        uint16 = 32
	Resident       uint16 = 40
	MaxResident    uint16 = 41
	ThreadsMax     uint16 = 50
	ThreadsStarted uint16 = 51
	ThreadsActive  uint16 = 52
	Mean           uint16 = 60 // of each phase
	Least          uint16 = 70
	Most           uint16 = 80
	Histogram      uint16 = 90
	InBytes        uint16 = 100
	InReads        uint16 = 101
	OutBytes       uint16 = 102
	OutWrites      uint16 = 103
	SlotCompleted  uint16 = 110
	SlotBusy       uint16 = 111
	SlotCPU        uint16 = 112
	SlotElapsed    uint16 = 113
	SlotLongest    uint16 = 114
	Status         uint16 = 120 // of the classes 1xx to 5xx
)

// The end of a process.
const (
	Reason uint16 = iota + 130
	Uptime
	Lifetime       // requests
	ActiveDecision // requests when the end was decided
	ActiveExit
	Graceful
)

// A slow request.
const (
	SlowState       uint16 = 200 // 0 it runs, 1 it has ended
	SlowStart       uint16 = 201
	SlowDuration    uint16 = 202
	SlowThread      uint16 = 203
	SlowID          uint16 = 204
	SlowPID         uint16 = 205
	SlowMethod      uint16 = 210
	SlowScheme      uint16 = 211
	SlowHost        uint16 = 212
	SlowScript      uint16 = 213
	SlowPath        uint16 = 214
	SlowProtocol    uint16 = 215
	SlowPeer        uint16 = 216
	SlowAgent       uint16 = 217
	SlowServer      uint16 = 220
	SlowQueue       uint16 = 221
	SlowDaemon      uint16 = 222
	SlowApplication uint16 = 223
	SlowGIL         uint16 = 224
	SlowGILCount    uint16 = 225
	SlowInBytes     uint16 = 230
	SlowInReads     uint16 = 231
	SlowOutBytes    uint16 = 232
	SlowOutWrites   uint16 = 233
	SlowStatus      uint16 = 240
	SlowUser        uint16 = 250
	SlowSystem      uint16 = 251
	SlowActiveStart uint16 = 260
	SlowActiveEnd   uint16 = 261
)

// The garbage collector; three ids, one for each generation, follow the first.
const (
	GCCounts        uint16 = 300
	GCThresholds    uint16 = 303
	GCCollections   uint16 = 306
	GCCollected     uint16 = 309
	GCUncollectable uint16 = 312
	GCEnabled       uint16 = 315
	GCFrozen        uint16 = 316
	GCDropped       uint16 = 317
	RunStart        uint16 = 320
	RunDuration     uint16 = 321
	RunGeneration   uint16 = 322
	RunCollected    uint16 = 323
	RunUncollected  uint16 = 324
)

// The longest strings, in bytes.
const (
	MaxPath  = 512 // also the User-Agent's
	MaxHost  = 256 // also the script's name
	MaxID    = 64
	MaxShort = 16 // method, scheme, protocol
)
