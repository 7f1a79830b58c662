// Package standard links the modules of Waxwing into a program. A build of
// one's own imports it and, beside it, the packages of further modules.
package standard

import (
	_ "github.com/waxwing-mail/waxwing/modules/auth/clientcert"
	_ "github.com/waxwing-mail/waxwing/modules/auth/htpasswd"
	_ "github.com/waxwing-mail/waxwing/modules/auth/static"
	_ "github.com/waxwing-mail/waxwing/modules/check/quota"
	_ "github.com/waxwing-mail/waxwing/modules/check/senders"
	_ "github.com/waxwing-mail/waxwing/modules/check/suddenchange"
	_ "github.com/waxwing-mail/waxwing/modules/dns/acmedns"
	_ "github.com/waxwing-mail/waxwing/modules/dns/cloudflare"
	_ "github.com/waxwing-mail/waxwing/modules/dns/exec"
	_ "github.com/waxwing-mail/waxwing/modules/dns/rfc2136"
	_ "github.com/waxwing-mail/waxwing/modules/dns/webhook"
	_ "github.com/waxwing-mail/waxwing/modules/listener/smtp"
	_ "github.com/waxwing-mail/waxwing/modules/listener/submission"
	_ "github.com/waxwing-mail/waxwing/modules/listener/submissions"
	_ "github.com/waxwing-mail/waxwing/modules/relay/capture"
	_ "github.com/waxwing-mail/waxwing/modules/relay/discard"
	_ "github.com/waxwing-mail/waxwing/modules/relay/lmtp"
	_ "github.com/waxwing-mail/waxwing/modules/relay/mx"
	_ "github.com/waxwing-mail/waxwing/modules/relay/smarthost"
	_ "github.com/waxwing-mail/waxwing/modules/rewrite/sevenbit"
	_ "github.com/waxwing-mail/waxwing/modules/signer/dkim"
	_ "github.com/waxwing-mail/waxwing/modules/store/disk"
	_ "github.com/waxwing-mail/waxwing/modules/store/memory"
	_ "github.com/waxwing-mail/waxwing/modules/tls/acme"
	_ "github.com/waxwing-mail/waxwing/modules/tls/files"
	_ "github.com/waxwing-mail/waxwing/modules/tls/selfsigned"
)
