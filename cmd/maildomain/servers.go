package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
)

// proof says where certificates are seen to be served.
type proof struct {
	Servers string `help:"Where the mail servers listen, as \"smtp=127.0.0.1:25 submissions=127.0.0.1:465 submission=127.0.0.1:587 imap=127.0.0.1:143 imaps=127.0.0.1:993 pop3=127.0.0.1:110 pop3s=127.0.0.1:995\", which is the default with root /: after each change they are asked which certificate they show. Another root has none by default." placeholder:"SERVICE=HOST:PORT"`
}

// askAt has the module ask the mail servers of a root.
func (p proof) askAt(root string, m *module.Module) error {
	if p.Servers == "" && root != "/" { // the servers of this host obey another tree
		return nil
	}
	servers, err := files.ParseServers(p.Servers)
	if err == nil {
		m.AskServers(servers)
	}
	return err
}

// look has certificates looked for at the mail servers, once they were told of them.
func look(ctx context.Context, m *module.Module, log zerolog.Logger) {
	each := time.NewTicker(retryFirst)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
			if err := m.LookServed(ctx); err != nil && ctx.Err() == nil {
				log.Error().Err(err).Msg("look for certificates at the mail servers")
			}
		}
	}
}
