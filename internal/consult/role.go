package consult

// Role is what a person (or device) is in a consultation.
type Role string

// Every role of a room token.
const (
	Doctor      Role = "doctor"
	Patient     Role = "patient"
	Interpreter Role = "interpreter"
	Guest       Role = "guest"    // family
	Observer    Role = "observer" // trainee: sees, is never hidden
	Device      Role = "device"   // exam camera or stethoscope, publishes over WHIP
	// Integrator is the session token of the API: it may act as either side
	// and must name the role it takes when it joins.
	Integrator Role = "integrator"
)

// Valid reports whether r is a role a token can carry.
func (r Role) Valid() bool {
	switch r {
	case Doctor, Patient, Interpreter, Guest, Observer, Device, Integrator:
		return true
	}
	return false
}

// Grants are what a token's holder may do once inside.
type Grants struct {
	// Publish lists the sources the holder may send: microphone, camera, screen.
	Publish   []string `json:"publish,omitempty"`
	Subscribe bool     `json:"subscribe,omitempty"`
	Chat      bool     `json:"chat,omitempty"`
	// Admit allows admitting from the waiting room, and ending for all.
	Admit bool `json:"admit,omitempty"`
	End   bool `json:"end,omitempty"`
}

// CanPublish reports whether the grants allow sending source.
func (g Grants) CanPublish(source string) bool {
	for _, s := range g.Publish {
		if s == source {
			return true
		}
	}
	return false
}

// DefaultGrants are what each role gets unless a token says less.
func DefaultGrants(r Role) Grants {
	av := []string{SourceMicrophone, SourceCamera, SourceScreen, SourceScreenAudio}
	switch r {
	case Doctor, Integrator:
		return Grants{Publish: av, Subscribe: true, Chat: true, Admit: true, End: true}
	case Patient, Interpreter, Guest:
		return Grants{Publish: av, Subscribe: true, Chat: true}
	case Observer:
		return Grants{Subscribe: true, Chat: true}
	case Device:
		return Grants{Publish: []string{SourceMicrophone, SourceCamera}}
	}
	return Grants{}
}

// Sources of a publication, by what they capture.
const (
	SourceMicrophone  = "microphone"
	SourceCamera      = "camera"
	SourceScreen      = "screen"
	SourceScreenAudio = "screen_audio"
)

// ActorKind is who caused a change.
type ActorKind string

// The kinds of actor an audit entry can name.
const (
	ActorKey         ActorKind = "api_key"
	ActorParticipant ActorKind = "participant"
	ActorSystem      ActorKind = "system"
	ActorOperator    ActorKind = "operator" // the command line
)

// Actor is who caused a change, by id only: never a name.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
	Role Role      `json:"role,omitempty"`
}

// System is the actor of timers and recovery.
var System = Actor{Kind: ActorSystem, ID: "chatmed"}
