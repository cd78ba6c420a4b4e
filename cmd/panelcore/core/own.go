package core

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"maildomain/rpc/wire"
)

type ownRun func(*Core, context.Context, Caller, Request) (*Answer, error)

// ownFunctions is everything that the core does itself, by the name it is called by.
var ownFunctions = map[string]struct {
	kind, level string
	run         ownRun
}{
	"auth":        {"action", levelUser, (*Core).openSession},
	"logoff":      {"action", levelUser, (*Core).endSession},
	"logon.out":   {"action", levelUser, (*Core).endSession},
	"su":          {"action", levelUser, (*Core).switchUser},
	"module":      {"list", levelAdmin, (*Core).listModules},
	"param":       {"list", levelAdmin, (*Core).listParams},
	"param.edit":  {"form", levelAdmin, (*Core).editParams},
	"user":        {"list", levelReseller, (*Core).listUsers},
	"user.edit":   {"form", levelAdmin, (*Core).editUser},
	"user.delete": {"group", levelAdmin, (*Core).deleteUsers},
	"sslcert":     {"list", levelUser, (*Core).listCertificates},
	"zone":        {"list", levelAdmin, (*Core).listZones},
	"zone.edit":   {"form", levelAdmin, (*Core).editZone},
	"zone.delete": {"group", levelAdmin, (*Core).deleteZones},

	"sslcert.edit":   {"form", levelUser, (*Core).editCertificate},
	"sslcert.delete": {"group", levelUser, (*Core).deleteCertificates},

	"zone.record":        {"list", levelAdmin, (*Core).listRecords},
	"zone.record.edit":   {"form", levelAdmin, (*Core).editRecord},
	"zone.record.delete": {"group", levelAdmin, (*Core).deleteRecords},
}

// openSession opens a session for a caller who has proved who they are.
func (c *Core) openSession(_ context.Context, by Caller, _ Request) (*Answer, error) {
	return &Answer{Auth: &Auth{ID: c.sessions.open(by.Real, by.User, by.session), Level: by.Level}}, nil
}

func (c *Core) endSession(_ context.Context, by Caller, _ Request) (*Answer, error) {
	c.sessions.end(by.session)
	return ok(""), nil
}

// switchUser opens a session in which the caller runs as another user.
func (c *Core) switchUser(ctx context.Context, by Caller, r Request) (*Answer, error) {
	if name := r.Params["elid"]; name != "" {
		var err error
		if by, err = c.As(by, name); err != nil {
			return nil, err
		}
	}
	return c.openSession(ctx, by, r)
}

func (c *Core) listParams(_ context.Context, _ Caller, r Request) (*Answer, error) {
	ps := c.params.all()
	var rows []map[string]string
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		if name == paramUpdateSecret {
			continue
		}
		rows = append(rows, map[string]string{"name": name, "value": ps[name].String()})
	}
	return page(rows, r.Params), nil
}

func (c *Core) listModules(_ context.Context, _ Caller, r Request) (*Answer, error) {
	var rows []map[string]string
	for _, m := range c.modules {
		rows = append(rows, m.row())
	}
	return page(rows, r.Params), nil
}

func ok(id string) *Answer { return &Answer{Result: wire.Result{Kind: wire.KindOK, ID: id}} }

// onOff is a flag as the panel writes it.
func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// page returns one page of rows, which are in the order of their names: 50 rows
// unless p_cnt says another number up to 1000.
func page(rows []map[string]string, params map[string]string) *Answer {
	count, err := strconv.Atoi(params["p_cnt"])
	if err != nil || count < 1 {
		count = 50
	}
	count = min(count, 1000)
	num, err := strconv.Atoi(params["p_num"])
	if err != nil || num < 1 {
		num = 1
	}
	num = min(num, len(rows)/count+1)
	from := (num - 1) * count
	return &Answer{Result: wire.Result{
		Kind: wire.KindList, Elems: rows[min(from, len(rows)):min(from+count, len(rows))],
		PElems: int64(len(rows)), PNum: num, PCnt: count, PSort: "name", POrder: "asc",
	}}
}

// elids splits the objects of a group operation.
func elids(s string) []string {
	var ids []string
	for id := range strings.SplitSeq(s, ",") {
		if id = strings.TrimSpace(id); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
