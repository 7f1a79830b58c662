package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// replyOf reads "550 5.1.1 text"; the enhanced status code may be missing.
func replyOf(t *testing.T, line string) Reply {
	t.Helper()
	var r Reply
	code, text, _ := strings.Cut(line, " ")
	if _, err := fmt.Sscan(code, &r.Code); err != nil {
		t.Fatal(err)
	}
	status, rest, _ := strings.Cut(text, " ")
	if n, _ := fmt.Sscan(strings.ReplaceAll(status, ".", " "), new(int), &r.Detail.Subject, &r.Detail.Detail); n == 3 {
		text = rest
	}
	r.Text = text
	return r
}

// TestClassify: replies as servers of the world give them.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		reply string
		want  Class
	}{
		{"250 2.0.0 ok", ""},

		// Gmail and Google Workspace.
		{"550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser", ClassRecipient},
		{"550 5.2.1 The email account that you tried to reach is inactive.", ClassRecipient},
		{"552 5.2.2 The recipient's inbox is out of storage space and inactive. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaPerm", ClassMailboxFull},
		{"452 4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp", ClassMailboxFull},
		{"450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. Please resend your message at a later time.", ClassRate},
		{"421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.", ClassRate},
		{"421 4.7.0 [192.0.2.1      15] Our system has detected an unusual rate of unsolicited mail originating from your IP address.", ClassRate},
		{"550 5.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been blocked.", ClassReputation},
		{"550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", ClassAuthentication},
		{"550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy. Please contact the administrator of example.com domain", ClassAuthentication},
		{"421 4.7.27 Your email has been rate limited because SPF authentication didn't pass for this message.", ClassAuthentication},
		{"550 5.7.25 The IP address sending this message does not have a PTR record setup, or the corresponding forward DNS entry does not match the sending IP.", ClassAuthentication},
		{"550 5.7.1 [192.0.2.1] Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked. Please visit https://support.google.com/mail/?p=UnsolicitedMessageError", ClassSpam},
		{"550 5.7.1 [192.0.2.1] Our system has detected that this message is likely suspicious due to the very low reputation of the sending IP address.", ClassReputation},
		{"552 5.7.0 This message was blocked because its content presents a potential security issue. Please visit https://support.google.com/mail/?p=BlockedMessage", ClassContent},
		{"552 5.3.4 Your message exceeded Google's message size limits. Please visit https://support.google.com/mail/?p=MaxSizeError", ClassSize},
		{"451 4.7.29 Your email has been rate limited because this email wasn't sent over a TLS connection.", ClassTLS},
		{"530 5.7.0 Must issue a STARTTLS command first.", ClassTLS},
		{"550 5.7.1 This message is not RFC 5322 compliant. There are multiple Subject headers.", ClassContent},

		// Microsoft.
		{"550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", ClassRecipient},
		{"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient bob@example.com not found by SMTP address lookup", ClassRecipient},
		{"550 5.4.1 Recipient address rejected: Access denied. [AM6EUR05FT021.eop-eur05.prod.protection.outlook.com]", ClassRecipient},
		{"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors.", ClassReputation},
		{"550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/ and follow the directions.", ClassReputation},
		{"550 5.7.511 Access denied, banned sender[192.0.2.1]. To request removal from this list please forward this message to delist@microsoft.com.", ClassReputation},
		{"451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery information see https://aka.ms/postmaster (S775)", ClassReputation},
		{"451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77714)", ClassRate},
		{"550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a DMARC policy of reject.", ClassAuthentication},
		{"550 5.7.515 Access denied, sending domain example.com doesn't meet the required authentication level.", ClassAuthentication},
		{"554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", ClassMailboxFull},
		{"452 4.3.1 Insufficient system resources (UsedDiskSpace[C:\\])", ClassTrouble},
		{"432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", ClassTrouble},
		{"554 5.4.14 Hop count exceeded - possible mail loop ATTR34", ClassLoop},
		{"550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", ClassSize},

		// Yahoo and AOL.
		{"554 delivery error: dd This user doesn't have a yahoo.com account (bob@yahoo.com) [0] - mta1.mail.yahoo.com", ClassRecipient},
		{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", ClassReputation},
		{"553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list; see https://postmaster.yahooinc.com/error-codes", ClassReputation},
		{"554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", ClassAuthentication},
		{"552 1 Requested mail action aborted, mailbox not found", ClassRecipient},

		// Block lists.
		{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", ClassReputation},
		{"550 5.7.1 Client host [192.0.2.1] blocked using b.barracudacentral.org; http://www.barracudanetworks.com/reputation/?pr=1&ip=192.0.2.1", ClassReputation},
		{"550 rejected: your address is listed at bl.spamcop.net", ClassReputation},
		{"554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means.", ClassReputation},
		{"550 5.7.0 Local Policy Violation - https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.1", ClassReputation},

		// Postfix, Exim, Sendmail, qmail, OpenSMTPD and their milters.
		{"550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown in virtual mailbox table", ClassRecipient},
		{"450 4.1.1 <bob@example.org>: Recipient address rejected: unverified address: connection timed out", ClassRecipient},
		{"450 4.2.0 <bob@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.org.html", ClassGreylist},
		{"451 4.7.1 Greylisting in action, please come back later", ClassGreylist},
		{"451 Greylisted, please try again in 180 seconds", ClassGreylist},
		{"554 5.7.1 <bob@example.org>: Relay access denied", ClassPolicy},
		{"550 relay not permitted", ClassPolicy},
		{"450 4.1.8 <ann@example.com>: Sender address rejected: Domain not found", ClassSender},
		{"450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", ClassAuthentication},
		{"504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", ClassAuthentication},
		{"550 Unrouteable address", ClassRecipient},
		{"550-Verification failed for <ann@example.com> Sender verify failed", ClassSender},
		{"452 4.3.1 Insufficient system storage", ClassTrouble},
		{"451 Temporary local problem - please try later", ClassTrouble},
		{"421 4.3.2 All server ports are busy", ClassTrouble},
		{"421 4.7.0 mx.example.org Error: too many connections from 192.0.2.1", ClassRate},
		{"452 4.5.3 Too many recipients", ClassRate},
		{"552 5.3.4 Message size exceeds fixed limit", ClassSize},
		{"552 message too big", ClassSize},
		{"554 5.4.0 Error: too many hops", ClassLoop},
		{"554 5.6.0 Message contains bare <LF>", ClassContent},
		{"554 5.7.1 Spam message rejected", ClassSpam},
		{"550 5.7.1 virus Eicar-Test-Signature detected", ClassContent},
		{"535 5.7.8 Error: authentication failed", ClassLogin},
		{"553 sorry, that domain isn't in my list of allowed rcpthosts", ClassSender},
		{"556 5.1.10 Recipient address has null MX", ClassDomain},
		{"554 5.7.1 The schedule of this module forbids it", ClassPolicy},
		{"550 no", ClassOther},
		{"499 what", ClassOther},
	} {
		r := Result{Reply: replyOf(t, c.reply), Remote: true}
		if got := (ClassRules{}).Classify(&r); got != c.want {
			t.Errorf("%q, want %q: %s", got, c.want, c.reply)
		}
	}
}

// TestClassifyOurs: what we found out ourselves goes by the codes that we
// chose, unless it repeats what a server said before there was a message.
func TestClassifyOurs(t *testing.T) {
	for _, c := range []struct {
		reply string
		want  Class
	}{
		{"556 5.1.10 The recipient's domain accepts no mail", ClassDomain},
		{"451 4.4.3 The recipient's domain cannot be looked up at the moment", ClassDNS},
		{"451 4.4.1 mx.example.org: connection refused", ClassConnection},
		{"451 4.4.2 mx.example.org did not answer in time at RCPT", ClassConnection},
		{"554 5.4.6 Mail loop: mx.example.org (192.0.2.1:25) is this server itself", ClassLoop},
		{"554 5.4.7 Not delivered within the lifetime of the queue; the last reply was: 450 4.2.0 Greylisted", ClassExpired},
		{"554 5.0.0 The administrator of this server has ended the delivery of this message", ClassEnded},
		{"451 4.5.0 mx.example.org broke the SMTP protocol at MAIL", ClassProtocol},
		{"451 4.3.0 Local error in delivery", ClassLocal},
		{"451 4.3.5 The server's configuration has no place for this message any more", ClassLocal},
		{"552 5.3.4 The message has 20 octets, mx.example.org takes at most 10", ClassSize},
		{"554 5.6.3 The message has 8-bit content and mx.example.org does not support 8BITMIME", ClassContent},
		{"451 4.7.5 The certificate of mx.example.org is not valid for it", ClassTLS},
		{"550 5.7.30 The sender requires TLS all the way, which cannot be assured for this domain", ClassTLS},
		{"451 4.7.8 smtp.example.org does not accept our user name and password: 535 no", ClassLogin},
		{"451 4.7.0 The smarthost wants authentication: 530 5.7.0 Authentication required", ClassLogin},
		{"451 4.7.1 mx.example.org greeted with: 554 Client host blocked using zen.spamhaus.org", ClassReputation},
		{"421 4.3.2 mx.example.org answered EHLO with: 421 too many connections", ClassRate},
		{"451 4.7.4 mx.example.org refused STARTTLS, and TLS is required: 454 mx answered you with: zen.spamhaus.org", ClassTLS},
		{"451 4.7.4 mx.example.org refused STARTTLS, and TLS is required: 454 x greeted with: zen.spamhaus.org", ClassTLS},
		{"451 4.5.1 mx.example.org offers CHUNKING and refuses BDAT: 500 x answered BDAT with: mailbox full", ClassProtocol},
	} {
		r := Result{Reply: replyOf(t, c.reply)}
		if got := (ClassRules{}).Classify(&r); got != c.want {
			t.Errorf("%q, want %q: %s", got, c.want, c.reply)
		}
	}
}

// TestClassRules: rules can be replaced, and a mistake in them is named.
func TestClassRules(t *testing.T) {
	var rules ClassRules
	name := filepath.Join(t.TempDir(), "classes.txt")
	if err := os.WriteFile(name, []byte("# mine\n\nspam 5.9.? Go  away|keep out\nlogin 571\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rules.UnmarshalText([]byte(name)); err != nil {
		t.Fatal(err)
	}
	for reply, want := range map[string]Class{
		"550 5.9.3 please GO\n AWAY now": ClassSpam, "550 5.9.33 go away": ClassOther, "550 5.9.1 hello": ClassOther,
		"571 anything": ClassLogin, "550 5.1.1 no such user": ClassOther,
	} {
		r := Result{Reply: replyOf(t, reply), Remote: true}
		if got := rules.Classify(&r); got != want {
			t.Errorf("%q, want %q: %s", got, want, reply)
		}
	}
	for text, want := range map[string]string{
		"spam":               "line 1: \"spam\": write a class",
		"# ok\nspamm * x":    "line 2: there is no class \"spamm\"",
		"spam fivehundred x": "is no code",
		"spam * a||b":        "nothing stands beside a |",
		strings.Repeat("spam *\n", maxClassRules+1): "more than 2000 rules",
		strings.Repeat("#", maxClassText+1):         "octets, at most",
	} {
		if _, err := ParseClassRules(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// TestClassFile: what is wrong with a file of rules is said with its name and
// line, and the rules stay what they were.
func TestClassFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "classes.txt")
	if err := os.WriteFile(name, []byte("spam *\nspamm *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		name: name + `: line 2: there is no class "spamm"`, dir: "is not a regular file", name + "x": "no such file", "classes.txt": "is no absolute path",
	} {
		rules := ClassRules{rules: []classRule{{class: ClassLoop, code: "*"}}}
		if err := rules.UnmarshalText([]byte(path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		if got := rules.Classify(&Result{Reply: *NewReply(550, 0, 0, "no"), Remote: true}); got != ClassLoop {
			t.Errorf("%s: the rules have changed: %q", path, got)
		}
	}
}

// TestClassWords: every class says what it means, the manual too.
func TestClassWords(t *testing.T) {
	manual, err := os.ReadFile("../docs/queue.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[Class]bool)
	for _, c := range Classes() {
		if c.Words() == "" || seen[c] || !c.IsValid() || c.Advice() == "" && c != ClassEnded {
			t.Errorf("class %q: %q, %q", c, c.Words(), c.Advice())
		}
		seen[c] = true
		if row := fmt.Sprintf("| `%s` | %s |", c, c.Words()); !strings.Contains(string(manual), row) {
			t.Errorf("docs/queue.md has no row %s", row)
		}
	}
	if Class("nosuch").IsValid() || Class("").IsValid() || Class("nosuch").Words() != "" {
		t.Error("there are classes that there are not")
	}
}

func TestMoreAt(t *testing.T) {
	for text, want := range map[string]string{
		"blocked; see https://www.spamhaus.org/query/ip/192.0.2.1.": "https://www.spamhaus.org/query/ip/192.0.2.1",
		"visit (http://example.org/a?b=1) now":                      "http://example.org/a?b=1",
		"nothing":                                                   "",
	} {
		if got := NewReply(550, 0, 0, text).MoreAt(); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	r := Result{Reply: *NewReply(550, 0, 0, strings.Repeat("nothing of this is known ", 20)), Remote: true}
	for b.Loop() {
		ClassRules{}.Classify(&r)
	}
}
