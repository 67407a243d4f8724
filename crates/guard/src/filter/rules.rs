//! The patterns. Each asks for an act and its object, close together, so that ordinary requests pass.

use std::sync::LazyLock;

use regex::Regex;

/// Rule and pattern; patterns meet folded text (lower case, no accents, single spaces).
const PATTERNS: [(&str, &str); 25] = [
    (
        "injection.ignore-instructions",
        r"\b(?:ignore|disregard|forget|override|bypass|discard|neglect)\b.{0,30}\b(?:all|any|every|previous|prior|above|earlier|preceding|your|system|safety|these|those)\b.{0,20}\b(?:instructions?|prompts?|rules|directives?|guidelines|guardrails|constraints|restrictions|policies)\b",
    ),
    (
        "injection.ignore-instructions",
        r"\b(?:ignore|disregard|forget|override)\b.{0,20}\b(?:instructions?|prompts?|directives?|everything|anything)\b.{0,20}\b(?:above|before|previously|given|you were told|you have been told|you know|i said)\b",
    ),
    (
        "injection.new-instructions",
        r"\b(?:your|these are the|here are your|the) (?:new|real|actual|updated|true) (?:instructions?|task|goal|system prompt|rules)\b.{0,10}(?::|\bare\b|\bis\b)",
    ),
    (
        "injection.role",
        r"\byou are (?:now|no longer)\b.{0,30}\b(?:dan|root|admin|administrator|unrestricted|unfiltered|jailbroken|developer mode|evil|bound|restricted|an? (?:ai|assistant|model|hacker)|in (?:developer|debug|god) mode)\b",
    ),
    (
        "injection.role",
        r"\b(?:pretend|act|behave|respond|roleplay)\b.{0,20}\b(?:as if you (?:have|had) no|as an? (?:unrestricted|unfiltered|jailbroken|evil)|to be an? (?:unrestricted|unfiltered|jailbroken)|as (?:dan|root|the system administrator)|without (?:any )?(?:restrictions|rules|filters|limits))\b",
    ),
    ("injection.role", r"\bfrom now on,? you (?:will|must|shall|are|only|have to)\b"),
    (
        "injection.prompt-leak",
        r"\b(?:reveal|show|print|repeat|output|leak|display|dump|tell|give|write|what (?:is|are|was))\b.{0,30}\b(?:system prompt|hidden prompt|initial prompt|initial instructions|your (?:system |original |hidden |secret )?(?:prompt|instructions)|developer message)\b",
    ),
    (
        "injection.guard-bypass",
        r"\b(?:bypass|circumvent|disable|evade|turn off|switch off|deactivate|skip|get around)\b.{0,20}\b(?:approvals?|safety|guardrails?|content filters?|kill ?switch|safe mode|audit(?: log)?|policy (?:check|engine)|policies|security (?:checks?|controls?)|risk (?:check|score))\b",
    ),
    (
        "injection.exfiltrate",
        r"\b(?:send|post|upload|exfiltrate|forward|leak|e?mail|print|reveal|give me|show me)\b.{0,12}\b(?:all|your|the|every|any)\b.{0,20}\b(?:api ?keys?|secrets|passwords|credentials|private keys?|access tokens|env(?:ironment)? var(?:iable)?s)\b",
    ),
    (
        "injection.jailbreak",
        r"\b(?:jailbreak|jail break|dan mode|do anything now|god mode|developer mode (?:enabled|on|activated))\b",
    ),
    (
        "injection.delimiter",
        r"<\|(?:im_start|im_end|system|assistant|user|endoftext|eot_id|start_header_id)\|?>?|\[/?inst\]|<</?sys>>|</?(?:system|assistant)>",
    ),
    (
        "injection.delimiter",
        r"(?:^|[#\n] ?|### ?)(?:system|assistant|developer) ?(?:prompt|message|instructions?)?:.{0,20}\b(?:you|ignore|override|approve|from now|new)\b",
    ),
    (
        "injection.tool-call",
        r#"(?:"|')?(?:tool_calls?|function_call)(?:"|')? ?:|<(?:tool_call|function_calls?|invoke)\b"#,
    ),
    (
        "injection.de",
        r"\b(?:ignorier|vergiss|missacht|umgeh|ubergeh|verwirf)\w*\b.{0,30}\b(?:vorherig|bisherig|obig|vorig|fruher|alle|deine|system|sicherheit)\w*\b.{0,20}\b(?:anweisung|instruktion|regel|befehl|vorgabe|prompt|richtlinie)\w*",
    ),
    (
        "injection.de",
        r"\b(?:du bist (?:jetzt|nun|ab sofort|ab jetzt)\b.{0,20}\b(?:kein|ein|nicht)|(?:zeig|verrat|nenn|gib)\w*\b.{0,20}\b(?:system-?prompt|deine(?:n|m)? (?:anweisungen|instruktionen|prompt))|(?:umgeh|deaktivier|schalt)\w*\b.{0,20}\b(?:freigabe|sicherheit|filter|genehmigung|prufung)\w*)",
    ),
    (
        "injection.fr",
        r"\b(?:ignore[rsz]?|oublie[rsz]?|neglige[rsz]?|contourne[rsz]?)\b.{0,20}\b(?:instructions?|consignes|regles|directives)\b.{0,25}\b(?:precedente?s?|anterieure?s?|ci-dessus|du systeme|donnees|recues)\b",
    ),
    (
        "injection.fr",
        r"\b(?:ignore[rsz]?|oublie[rsz]?|neglige[rsz]?)\b.{0,10}\b(?:toutes|tes|vos)\b.{0,10}\b(?:instructions?|consignes|regles|directives)\b|\btu es (?:maintenant|desormais)\b.{0,20}\b(?:un|une|sans|libre)\b|\b(?:montre|revele|affiche)\w*\b.{0,20}\b(?:prompt systeme|(?:tes|vos) instructions)\b",
    ),
    (
        "injection.es",
        r"\b(?:ignor[ae]|olvid[ae]|omit[ae]|desobedece)\w*\b.{0,20}\b(?:instrucciones|reglas|ordenes|indicaciones|directrices)\b.{0,20}\b(?:anterior|previa|de arriba|del sistema)\w*",
    ),
    (
        "injection.es",
        r"\b(?:ignor[ae]|olvid[ae]|omit[ae])\w*\b.{0,10}\b(?:todas|tus|sus)\b.{0,10}\b(?:instrucciones|reglas|indicaciones)\b|\bahora eres\b.{0,20}\b(?:un|una|libre|sin)\b|\b(?:muestra|revela|dime)\w*\b.{0,20}\b(?:prompt del sistema|tus instrucciones)\b",
    ),
    (
        "injection.it",
        r"\b(?:ignora|dimentica|trascura)\w*\b.{0,25}\b(?:istruzioni|regole|direttive)\b.{0,20}\b(?:precedent|sopra|di sistema)\w*|\b(?:ignore|esqueca|desconsidere)\b.{0,20}\b(?:instrucoes|regras|diretrizes)\b.{0,20}\b(?:anterior|acima|do sistema)\w*",
    ),
    (
        "injection.other",
        r"(?:忽略|无视|忽視|忘记).{0,10}(?:之前|以上|先前|所有|前面).{0,10}(?:指令|指示|说明|提示|规则)|(?:以前|上記|これまで|前)の(?:指示|命令|プロンプト).{0,6}(?:無視|忘れ)|игнорируй.{0,30}(?:инструкци|правил|указани)|забудь.{0,20}(?:инструкци|правил|указани)",
    ),
    (
        "content.active-markup",
        r"<script\b|<iframe\b|javascript:|vbscript:|data:text/html|\bon(?:error|load|click|mouseover) ?= ?['\x22]?\w+\(|!\[[^\]]{0,100}\]\(https?://[^)]{0,200}\?[^)]{0,200}=",
    ),
    (
        "content.shell",
        r"\$\{jndi:|;\s?rm -rf\b|\brm -rf /|\|\s?(?:ba|z)?sh\b|\$\((?:curl|wget)\b|\bcurl\b.{0,100}\|\s?(?:sudo )?(?:ba)?sh\b|\(\)\s?\{\s?:;\s?\}\s?;",
    ),
    (
        "content.sql",
        r"'\s?or\s+'?1'?\s?=\s?'?1|;\s?(?:drop|truncate)\s+(?:table|database)\b|\bunion\s+(?:all\s+)?select\b.{1,80}\bfrom\b|'\s?;\s?--",
    ),
    (
        "content.template",
        r"\{\{.{0,80}(?:__class__|__globals__|__import__|constructor\.|process\.env).{0,80}\}\}|<%=?.{0,80}(?:system|exec)\(",
    ),
];

static RULES: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let compile =
        |pattern: &str| Regex::new(pattern).expect("the pattern is a constant that the tests compile");
    PATTERNS.iter().map(|(rule, pattern)| (*rule, compile(pattern))).collect()
});

/// Each rule that the text breaks, with what broke it.
pub(super) fn find(text: &str) -> impl Iterator<Item = (&'static str, &str)> {
    RULES.iter().filter_map(move |(rule, pattern)| Some((*rule, pattern.find(text)?.as_str())))
}
