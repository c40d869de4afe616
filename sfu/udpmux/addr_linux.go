package udpmux

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr has room for a kernel address of either family.
type sockaddr = unix.RawSockaddrInet6

// encode writes the address a socket of family fam sends to and returns its
// length. A socket for both families takes IPv4 in its mapped form.
func encode(sa *sockaddr, dst netip.AddrPort, fam family, z *zones) uint32 {
	ip := dst.Addr()
	if fam == familyIPv4 {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		putPort(&in4.Port, dst.Port())
		return unix.SizeofSockaddrInet4
	}
	*sa = sockaddr{Family: unix.AF_INET6, Addr: ip.As16()}
	putPort(&sa.Port, dst.Port())
	if zone := ip.Zone(); zone != "" {
		sa.Scope_id = z.id(zone)
	}
	return unix.SizeofSockaddrInet6
}

// decode reads a source address; IPv4 comes out in short form.
func decode(sa *sockaddr, z *zones) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	if sa.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr), port)
	}
	ip := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && ip.Is6() {
		ip = ip.WithZone(z.name(sa.Scope_id))
	}
	return netip.AddrPortFrom(ip, port)
}

// putPort stores a port in network order.
func putPort(field *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(field))[:], port)
}

// zones remembers the names of the interfaces that link-local addresses name.
// There are as many as the machine has interfaces.
type zones struct {
	mu    sync.RWMutex
	names map[uint32]string
	ids   map[string]uint32
}

func newZones() *zones { return &zones{names: map[uint32]string{}, ids: map[string]uint32{}} }

// id is the scope of a zone, 0 when it is unknown.
func (z *zones) id(zone string) uint32 {
	if zone == "" {
		return 0
	}
	z.mu.RLock()
	id, ok := z.ids[zone]
	z.mu.RUnlock()
	if ok {
		return id
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ids[zone] = uint32(ifi.Index)
	return z.ids[zone]
}

// name is the zone of a scope.
func (z *zones) name(id uint32) string {
	z.mu.RLock()
	name, ok := z.names[id]
	z.mu.RUnlock()
	if ok {
		return name
	}
	ifi, err := net.InterfaceByIndex(int(id))
	if err != nil {
		return strconv.FormatUint(uint64(id), 10)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[id] = ifi.Name
	return ifi.Name
}
